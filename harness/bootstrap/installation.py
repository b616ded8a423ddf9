"""An environment that is being installed: where it is described, and the ways to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from harness.aws import ANY, Aws
from harness.core import yamlfile
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.pace import Pace
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.kubernetes import api, kubeconfig
from harness.kubernetes.api import Api
from harness.settings import site

UNSET = site.UNSET
Action = Literal["plan", "apply", "destroy"]


@dataclass
class Installation:
    """What every step works with.

    Attributes:
        repository: the checkout: bootstrap writes into its site.yaml and eksctl.yaml.
        env: the environment.
        aws: AWS, in the environment's region.
        action: a plan also lists the change of each resource of the foundation.
        token: with which Flux may read the repository by HTTPS, or None if there is none.
        with_data: on the way down, remove what holds data too.
        pace: how long to wait for AWS and the cluster.
        sync_seconds: how long the first sync may take: apps.yaml gives the release alone 75
            minutes, and what it depends on comes before it.
        refused_seconds: how long the Git server may refuse Flux: a deploy key can be let in while
            this waits.
    """

    repository: Repository
    env: str
    aws: Aws
    action: Action = "apply"
    token: str | None = field(default=None, repr=False)
    with_data: bool = False
    pace: Pace = field(default_factory=Pace)
    sync_seconds: float = 5_400.0
    refused_seconds: float = 600.0

    @cached_property
    def cluster(self) -> Api:
        """The API server of this environment, and of no other that KUBECONFIG may be set to.

        Raises:
            HarnessError: KUBECONFIG has no context for it.
        """
        if (context := self.context) is None:
            raise HarnessError("KUBECONFIG does not know the cluster", hint=self.again)
        return api.connect(context=context)

    @property
    def context(self) -> str | None:
        """The context of KUBECONFIG that leads to the cluster, whichever is the current one."""
        answer = self.aws.read("eks", "describe_cluster", name=self.cluster_name)
        return kubeconfig.context_of(answer["cluster"]["endpoint"])

    @property
    def again(self) -> str:
        """The command that goes on with it."""
        verb = "destroy" if self.action == "destroy" else "apply"
        return f"harness bootstrap {verb} --env {self.env}"

    @property
    def eksctl_file(self) -> str:
        """The description of the cluster, as one names it from the checkout's root."""
        return f"clusters/{self.env}/eksctl.yaml"

    def values(self, env: str = "") -> Mapping[str, str]:
        """Return every setting, of this environment or of another."""
        return site.values(self.repository, env or self.env)

    def value(self, name: str) -> str:
        """Return one setting, ``UNSET`` if it is not known yet."""
        return self.values().get(name, UNSET)

    def eksctl(self) -> Value:
        """Return the content of eksctl.yaml.

        Raises:
            InputError: it is not one YAML document.
        """
        path = self.repository.root / self.eksctl_file
        documents = yamlfile.parse(yamlfile.read_text(path), path)
        if len(documents) != 1:
            raise InputError(f"{len(documents)} YAML documents where one is expected", at=path)
        return mapping(documents[0].value)

    @property
    def cluster_name(self) -> str:
        """The EKS cluster's name."""
        return text(self.eksctl(), "metadata", "name")


def of(
    repository: Repository,
    env: str,
    *,
    action: Action = "apply",
    token: str | None = None,
    with_data: bool = False,
) -> Installation:
    """The installation of an environment, in AWS's region of it.

    Raises:
        UsageError: there is no such environment, or it is not for EKS.
    """
    if not (repository.cluster(env) / "eksctl.yaml").is_file():
        raise UsageError(
            f"{env} is not a cluster on EKS: there is no clusters/{env}/eksctl.yaml",
            hint="`make cluster` starts the one of this machine",
        )
    known = site.values(repository, env)
    # On the way up the account is found out, and written into Git: step `caller` shows it.
    account = known["AWS_ACCOUNT_ID"]
    up = action != "destroy" and account == UNSET
    aws = Aws(known["AWS_REGION"], ANY if up else account)
    return Installation(repository, env, aws, action, token, with_data)


@dataclass
class Waiting:
    """A wait for something that others do. Its timeout restarts with each sign of progress."""

    pace: Pace
    what: str
    _progress: str = ""
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._since = self.pace.now()

    def look_again(self, progress: str, hint: str) -> None:
        """Sleep until the next poll.

        Args:
            progress: how far it is; another text than before is progress.
            hint: what to type after the timeout.

        Raises:
            HarnessError: nothing has moved for too long.
        """
        if progress != self._progress:
            self._progress, self._since = progress, self.pace.now()
        elif self.pace.now() - self._since > self.pace.patience:
            raise HarnessError(
                f"{self.what}: nothing moved for {self.pace.patience:g} s: {progress}", hint=hint
            )
        self.pace.sleep(self.pace.look)
