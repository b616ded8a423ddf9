"""The evidence of a promotion: the one file that it adds to Git, and its keys.

``clusters/<env>/evidence/<commit>.json``; ``docs/promotion.md`` describes its keys, which are a
public interface.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Kind = Literal["loadtest", "smoke"]

_FIRST_GATES = (
    *("checkout", "commit", "clocks", "running", "soak", "load test", "SLOs", "smoke test"),
    *("render", "dangers", "models and image", "freeze"),
)
_SECOND_GATES = (*_FIRST_GATES, "check", "image signature")
GATES = {
    1: frozenset(_FIRST_GATES),
    2: frozenset(_SECOND_GATES),
    3: frozenset((*_SECOND_GATES, "live health")),
}
"""The gates that evidence of each ``schema_version`` lists; a new gate is a new version."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gate(_Record):
    """A condition of a promotion, and what was found.

    Attributes:
        found: in words; the reason, if it was not passed.
        hint: what to do about it, or "" if it was passed.
    """

    name: str
    passed: bool
    found: str
    hint: str = ""


class Source(_Record):
    """Where the release was proven.

    Attributes:
        ready_since: the soak counts from here: unchanged, and no pod or Deployment failed since.
        unchanged_since: from when on Flux applied nothing else; empty in evidence of version 1.
    """

    environment: str
    commit: str
    digest: str
    ready_since: str
    unchanged_since: str = ""


class Figures(_Record):
    """What a load test measured of one name of its mix; milliseconds, requests per second.

    Attributes:
        group: the serving group that got its requests; None where the report does not say.
    """

    name: str
    group: str | None = None
    p50: float | None
    p95: float | None
    p99: float | None
    rate: float
    failures: int


class Proven(_Record):
    """A report that counted: its name in the store, its SHA-256, who signed it."""

    kind: Kind
    name: str
    sha256: str
    signed_by: str | None
    started: str
    figures: tuple[Figures, ...] = ()


class Evidence(_Record):
    """Why a pointer might move.

    Attributes:
        schema_version: 3; evidence of earlier versions lists fewer gates and is read forever.
        digest: of what the environment runs with this commit.
        replaces: the commit that it pinned before, or None the first time.
        decided: when, by the clock of the source's API server.
        accepted: the dangers that somebody accepted by name.
        override: why a freeze was overridden; or "" if none was.
    """

    schema_version: Literal[1, 2, 3] = 3
    environment: str
    commit: str
    digest: str
    replaces: str | None
    decided: str
    source: Source
    gates: tuple[Gate, ...]
    reports: tuple[Proven, ...]
    accepted: tuple[str, ...] = ()
    override: str = ""

    def as_text(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=2) + "\n"
