"""verdicts.yaml: what a person decided about a vulnerability, why, and until when.

    verdicts:
      - vulnerability: CVE-2025-58056
        package: pkg:maven/io.netty/netty-codec-http@*
        verdict: not-affected
        reason: the server is behind a gateway that refuses such requests
        expires: 2027-06-30

``package`` is a pattern as in a shell, over package URLs. An expired verdict does not apply,
and one that nothing needs is a finding, as in exceptions.yaml.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.audit.java import Part
from harness.core import document
from harness.core.document import Strict
from harness.core.errors import Location
from harness.core.form import Form

FILE = Path("apps/torchserve/image/verdicts.yaml")


class Verdict(Strict):
    """A decision.

    Attributes:
        vulnerability: its id; ``*`` means any, if the verdict is about loading.
        verdict: ``not-affected``: no exploit works here. ``accepted``: one may, and the risk is
            taken. ``shadowed``: a newer version comes before it on the class path, and no other
            class of it is loaded. ``not-loaded``: nothing of it is loaded.
    """

    vulnerability: str = Field(min_length=1)
    package: Annotated[str, Form(r"pkg:.*", "a package URL, as pkg:pypi/torch@*")]
    verdict: Literal["not-affected", "accepted", "shadowed", "not-loaded"]
    reason: str = Field(min_length=10)
    expires: datetime.date

    @model_validator(mode="after")
    def _names_a_vulnerability(self) -> Self:
        if self.vulnerability == "*" and self.verdict in ("not-affected", "accepted"):
            raise ValueError(f"{self.verdict} needs one vulnerability, not *")
        return self

    def covers(self, vulnerability: str, purl: str, part: Part | None) -> bool:
        """Whether it decides this; ``part`` is the Java library in its JAR."""
        return (
            self.vulnerability in ("*", vulnerability)
            and fnmatchcase(purl, self.package)
            and (self.verdict != "shadowed" or (part is not None and part.loadable < part.classes))
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
    """The verdicts; none without a file.

    Raises:
        InputError: the file is malformed.
    """
    if not path.exists():
        return []
    parsed = document.parse(document.read_text(path), path)[0]
    verdicts = document.validate(parsed, Verdicts).verdicts
    return [Entry(each, parsed.at(("verdicts", index))) for index, each in enumerate(verdicts)]


def valid(entries: Sequence[Entry], today: datetime.date) -> list[Entry]:
    """Those that have not expired."""
    return [each for each in entries if each.verdict.expires >= today]
