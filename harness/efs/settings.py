"""clusters/<env>/efs.yaml: the file system of a cluster, whose name and region eksctl.yaml has.

securityGroup: eks-efs-group
fileSystem: fs-0123456789abcdef0   # only to take over one that was made by hand
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel

from harness.core import document
from harness.core.document import Camel
from harness.core.errors import InputError, UsageError
from harness.core.form import Form, Region
from harness.core.repository import Repository
from harness.settings import site


class Settings(Camel):
    """efs.yaml."""

    # EC2's rule for names in a VPC, less what a shell would take for its own.
    security_group: Annotated[
        str, Form(r"[A-Za-z0-9._:-]+", "a name of letters, digits and . _ : - alone", longest=255)
    ]
    # Taken over unchanged: never created, never removed, and perhaps not encrypted.
    file_system: Annotated[str, Form(r"fs-[0-9a-f]{8,40}", "fs- and digits of 0-9, a-f")] | None = (
        None
    )


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired file system of an environment. ``token`` identifies each of its parts."""

    env: str
    cluster_name: str
    region: str
    settings: Settings

    @property
    def token(self) -> str:
        return f"{self.cluster_name}-{self.env}"

    @property
    def tags(self) -> list[dict[str, str]]:
        """On everything that is made: a name for people, and the token for ``destroy``."""
        return [
            {"Key": "Name", "Value": f"{self.token}-model-store"},
            {"Key": TOKEN_TAG, "Value": self.token},
        ]


TOKEN_TAG = "torchserve-model-store"  # noqa: S105 (a tag's key, no secret)


class _Metadata(BaseModel):
    """What eksctl.yaml says of the cluster. Its other keys do not concern the file system."""

    # 40: with the environment it makes a creation token, of which EFS takes 64 characters.
    name: Annotated[
        str,
        Form(r"[A-Za-z0-9][A-Za-z0-9_-]*", "a name of letters, digits, _ and - alone", longest=40),
    ]
    region: Region


class _Eksctl(BaseModel):
    metadata: _Metadata


def load(repository: Repository, env: str) -> Desired:
    """Read an environment's settings.

    Raises:
        UsageError: it has none.
        InputError: they do not fit, or another file names another region.
    """
    path = repository.cluster(env) / "efs.yaml"
    if not path.is_file():
        raise UsageError(
            f"{env} has no EFS file system: clusters/{env}/efs.yaml not found",
            hint=f"move infra/efs/{env}.yaml there, without clusterName and region"
            if (repository.root / f"infra/efs/{env}.yaml").is_file()
            else "",
        )
    settings = document.load(path, Settings)
    cluster = document.load(path.with_name("eksctl.yaml"), _Eksctl).metadata
    for value in site.read(repository, env):
        if value.name == "AWS_REGION" and value.value != cluster.region:
            raise InputError(
                f"AWS_REGION is {value.value}, but the region of eksctl.yaml is {cluster.region}",
                at=value.at,
                hint=f"harness init --env {env} AWS_REGION=…",
            )
    return Desired(env, cluster.name, cluster.region, settings)
