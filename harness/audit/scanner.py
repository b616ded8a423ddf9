"""Trivy's detectors and osv-scalibr's readers, as one program: tools/trivy."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from harness import tools
from harness.audit import bom
from harness.audit.bom import Bom
from harness.core import command, user_cache
from harness.core.errors import HarnessError
from harness.core.repository import Repository

_SECONDS = 600  # of a scan: a database is 800 MB, and the disk may be slow
SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A known vulnerability of a component.

    Attributes:
        id: such as ``CVE-2025-58056``.
        purl: the component's package URL.
        reference: the component in the bill of materials.
        severity: one of ``SEVERITIES``.
        fixed: the versions without it, or "" if there are none.
        title: what it is, in a line.
    """

    id: str
    purl: str
    reference: str
    severity: str
    fixed: str
    title: str


@dataclass(frozen=True, slots=True)
class Matches:
    """The vulnerabilities of a bill of materials; ``updated`` is the day of the database."""

    updated: str
    compared: int
    end_of_life: bool
    vulnerabilities: tuple[Vulnerability, ...]


def database() -> Path:
    """Trivy's database folder, by Trivy's own rules."""
    return Path(os.environ.get("TRIVY_CACHE_DIR") or user_cache.home() / "trivy") / "db"


def catalog(repository: Repository, root: Path) -> Bom:
    """Debian's and Python's packages below ``root``.

    Raises:
        HarnessError: the program cannot be built, or a package cannot be read.
    """
    return bom.read(_run(repository, ["catalog", str(root)]), root)


def match(repository: Repository, materials: Bom, folder: Path) -> Matches:
    """The known vulnerabilities of a bill of materials, by the database in ``folder``.

    Raises:
        HarnessError: no database that Trivy reads, or the program fails.
    """
    for name in ("trivy.db", "metadata.json"):
        if not (folder / name).is_file():
            raise HarnessError(
                f"{name} not found: vulnerabilities cannot be matched",
                at=folder,
                hint="`trivy image --download-db-only` brings Trivy's database to "
                f"{database()}; --db names another folder",
            )
    result = json.loads(_run(repository, [str(folder)], json.dumps(materials)))
    vulnerabilities = []
    for each in result["Vulnerabilities"]:
        identifier = each["PkgIdentifier"]
        vulnerabilities.append(
            Vulnerability(
                id=each["VulnerabilityID"],
                purl=identifier["PURL"],
                reference=identifier.get("BOMRef", ""),
                severity=each.get("Severity", SEVERITIES[0]),
                fixed=each.get("FixedVersion", ""),
                title=each.get("Title", ""),
            )
        )
    vulnerabilities.sort(key=lambda each: (each.purl, each.id, each.reference))
    return Matches(
        result["Updated"][:10], result["Compared"], result["EndOfLife"], tuple(vulnerabilities)
    )


def _run(repository: Repository, arguments: list[str], stdin: str = "") -> str:
    program = tools.find(repository, "trivy-match")
    return command.run([program, *arguments], timeout=_SECONDS, stdin=stdin).stdout
