"""infra/efs/<env>.yaml: which cluster the file system belongs to.

clusterName: TorchserveCluster
region: us-west-2
securityGroup: eks-efs-group
fileSystem: fs-0123456789abcdef0   # only to take over one that was made by hand
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from harness.core import document
from harness.core.document import Camel
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.settings import site


class Settings(Camel):
    """One file of settings. The first two names are EKS's and AWS's own."""

    # 40: with the environment it makes a creation token, of which EFS takes 64 characters.
    cluster_name: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=40)
    ]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    # EC2's rule for names in a VPC, less what a shell would take for its own.
    security_group: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", max_length=255)]
    # Taken over as it is: never made, never removed, and perhaps not encrypted.
    file_system: Annotated[str, StringConstraints(pattern=r"^fs-[0-9a-f]{8,40}$")] | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """What an environment wants. ``token`` makes each of its parts findable, and unique."""

    env: str
    settings: Settings

    @property
    def token(self) -> str:
        return f"{self.settings.cluster_name}-{self.env}"

    @property
    def tags(self) -> list[dict[str, str]]:
        """On everything that is made: a name for people, and the token for ``destroy``."""
        return [
            {"Key": "Name", "Value": f"{self.token}-model-store"},
            {"Key": TOKEN_TAG, "Value": self.token},
        ]


TOKEN_TAG = "torchserve-model-store"  # noqa: S105 (a tag's key, no secret)


def load(repository: Repository, env: str) -> Desired:
    """Read an environment's settings.

    Raises:
        UsageError: it has none.
        InputError: they do not fit, or another file names another region.
    """
    repository.cluster(env)
    path = repository.root / "infra" / "efs" / f"{env}.yaml"
    if not path.is_file():
        raise UsageError(f"{env} has no EFS file system: there is no infra/efs/{env}.yaml")
    settings = document.load(path, Settings)
    for value in site.read(repository, env):
        if value.name == "AWS_REGION" and not value.value.startswith(settings.region):
            raise InputError(
                f"{value.value}, but {path.relative_to(repository.root)} says {settings.region}",
                at=value.at,
                hint=f"harness init --env {env} AWS_REGION=…",
            )
    return Desired(env, settings)
