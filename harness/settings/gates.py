"""``clusters/<env>/promotion.yaml``: what a release must have proved before it is promoted here.

    from: staging
    soakHours: 24
    reportDays: 7
    mergeHours: 24
    signedReports: true
    signedImage:
      identity: https://github.com/OWNER/REPOSITORY/.github/workflows/image.yaml@refs/heads/main
      issuer: https://token.actions.githubusercontent.com
    freeze: []

The harness reads it, from ``main``; Flux does not.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from harness.core import document
from harness.core.document import Camel
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.registry import Signer
from harness.settings.freeze import Freeze

FILE = "promotion.yaml"


class SignedImage(Camel):
    """Who has to have signed the serving image; see ``harness.registry.Signer``."""

    identity: str = ""
    issuer: str = ""
    key: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.key) == bool(self.identity and self.issuer):
            raise ValueError("give either identity and issuer, or key")
        return self

    def __str__(self) -> str:
        return f"the key {self.key}" if self.key else f"{self.identity} of {self.issuer}"

    def signer(self, repository: Repository) -> Signer:
        """The signer; the path of a key is relative to the repository's root."""
        key = repository.root / self.key if self.key else None
        return Signer(self.identity, self.issuer, key)


class LiveHealth(Camel):
    """What the source's Prometheus must say: no page fires, and of every SLO's error budget at
    least the share ``budget_left`` is left.
    """

    budget_left: Annotated[float, Field(ge=0, le=1)] = 0.0


class Gates(Camel):
    """The gates of an environment.

    Attributes:
        from_: the environment that proves what comes here.
        soak_hours: how long the release must have been Ready there.
        report_days: how old its reports may be, when it is promoted and when that is merged.
        merge_hours: how long after the gates were evaluated the result may be merged.
        signed_reports: reports count only with a signature of clusters/allowed_signers.
        signed_image: whose signature the serving image needs; by default, nobody's.
        embedded: reports of an embedded server, or of pods that kwok plays, count too. For
            rehearsals on a local cluster, which has no others.
        live_health: what Prometheus must say of the environment that proves; by default it is not
            asked, since a rehearsal has none.
        freeze: when nothing is promoted.
    """

    from_: str = Field(alias="from")
    soak_hours: Annotated[float, Field(ge=0)] = 24.0
    report_days: Annotated[float, Field(gt=0)] = 7.0
    merge_hours: Annotated[float, Field(gt=0)] = 24.0
    signed_reports: bool = True
    signed_image: SignedImage | None = None
    embedded: bool = False
    live_health: LiveHealth | None = None
    freeze: tuple[Freeze, ...] = ()


def load(repository: Repository, env: str) -> Gates:
    """Read an environment's gates.

    Raises:
        UsageError: nothing is promoted to it.
        InputError: what is wrong with the file, as file:line.
    """
    path: Path = repository.cluster(env) / FILE
    if not path.is_file():
        raise UsageError(f"nothing is promoted to {env}: it has no {FILE}")
    return document.load(path, Gates)


def sources(repository: Repository) -> dict[str, str]:
    """The environments that releases are promoted to, each with the one that proves them.

    Raises:
        InputError: what is wrong with a promotion.yaml, as file:line.
    """
    return {
        env: load(repository, env).from_
        for env in repository.environments
        if (repository.cluster(env) / FILE).is_file()
    }


def parse(text: str, path: Path) -> Gates:
    """An environment's gates from the file's text, such as a commit's.

    Raises:
        InputError: what is wrong with it, as file:line; ``path`` is used only for that.
    """
    return document.load_text(text, path, Gates)
