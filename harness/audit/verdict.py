"""verdicts.yaml: what a person decided about a vulnerability, why, and until when.

    verdicts:
      - vulnerability: CVE-2025-58056
        package: pkg:maven/io.netty/netty-codec-http@*
        verdict: not-affected
        reason: the server is behind a gateway that refuses such requests
        expires: 2027-06-30

``package`` is a pattern as in a shell, over package URLs. A verdict whose day has come does not
apply, and one that nothing needs is a finding, as in exceptions.yaml.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from harness.audit.java import Part
from harness.core import document
from harness.core.document import Strict
from harness.core.errors import Location

FILE = Path("apps/torchserve/image/verdicts.yaml")


class Verdict(Strict):
    """A decision.

    Attributes:
        vulnerability: its id; ``*`` stands for any, where the verdict is about loading.
        verdict: ``not-affected``: it cannot be used here. ``accepted``: it can, and is borne.
            ``shadowed``: a newer version stands before it on the class path, and what is left of
            it is not loaded. ``not-loaded``: nothing of it is loaded.
    """

    vulnerability: str = Field(min_length=1)
    package: str = Field(pattern=r"^pkg:")
    verdict: Literal["not-affected", "accepted", "shadowed", "not-loaded"]
    reason: str = Field(min_length=10)
    expires: datetime.date

    @model_validator(mode="after")
    def _names_what_it_judges(self) -> Self:
        if self.vulnerability == "*" and self.verdict in ("not-affected", "accepted"):
            raise ValueError(f"{self.verdict} is said of one vulnerability, not of *")
        return self

    def covers(self, vulnerability: str, purl: str, part: Part | None) -> bool:
        """Whether it decides this; ``part`` is the Java library in its JAR."""
        return (
            self.vulnerability in ("*", vulnerability)
            and fnmatchcase(purl, self.package)
            and (self.verdict != "shadowed" or (part is not None and part.left < part.classes))
        )


class Verdicts(Strict):
    """The file."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A verdict and its place in the file."""

    verdict: Verdict
    at: Location


def load(path: Path) -> list[Entry]:
    """The verdicts; none where there is no file.

    Raises:
        InputError: the file is not what it should be.
    """
    if not path.exists():
        return []
    written = document.parse(document.read_text(path), path)[0]
    verdicts = document.validate(written, Verdicts).verdicts
    return [Entry(each, written.at(("verdicts", at))) for at, each in enumerate(verdicts)]


def valid(entries: Sequence[Entry], today: datetime.date) -> list[Entry]:
    """Those whose day has not come."""
    return [each for each in entries if each.verdict.expires >= today]
