"""A clone whose production is about to move, and what `harness check` says of it."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.attestation import pointer, signature
from harness.attestation.record import Evidence
from harness.core import files
from harness.core.repository import Repository
from harness.policy import engine
from harness.policy.project import Project
from harness.policy.rules.promotion import gates as rules
from harness.promotion import promote
from harness.promotion.branch import Branch, upstream
from tests.promotion import cases
from tests.promotion.conftest import Clone, allow
from tests.promotion.test_promote import gate_inputs

GATES = "clusters/production/promotion.yaml"
DAY = datetime.timedelta(days=1)
EVIDENCE_ONLY = f'namespaces="{signature.EVIDENCE}"'


def problems(repository: Repository) -> list[str]:
    """What the rule reports, as ``file:line message``; no other rule is evaluated."""
    return [f"{each.location} {each.message}" for each in rules.evidence(Project(repository, {}))]


def promotion_findings(repository: Repository) -> list[str]:
    """What `harness check` says of promotions, all rules asked."""
    promotion = (f for f in engine.check(repository).findings if f.rule.startswith("promotion/"))
    return [f"{each.location.path} {each.rule} {each.message}" for each in promotion]


def verifiability_problems(repository: Repository) -> list[str]:
    return [each.message for each in rules.evidence_is_verifiable(Project(repository, {}))]


@dataclass(frozen=True)
class Production:
    """A clone, a release that is good for production, its evidence, and a key that may sign it."""

    clone: Clone
    key: Path
    commit: str
    evidence: Evidence
    set_clock: Callable[[datetime.datetime], None]

    @property
    def path(self) -> Path:
        return self.clone.root / pointer.evidence("production", self.commit)

    @property
    def repository(self) -> Repository:
        return self.clone.repository

    def write(self, text: str, key: Path | None, namespace: str = signature.RELEASE) -> None:
        """Put evidence, signed or not, and the moved pointer into the working tree."""
        files.write(self.path, text)
        if key:
            signed = signature.sign(text, key, namespace)
            files.write(self.path.with_name(f"{self.path.name}.sig"), signed)
        for path, text in promote.pointer_change(
            self.repository, "production", self.commit
        ).items():
            files.write(self.clone.root / path, text)

    def move(self, text: str, key: Path | None, namespace: str = signature.RELEASE) -> None:
        """The same on main, merged."""
        self.write(text, key, namespace)
        self.clone.commit("Move")


@pytest.fixture
def production(clone: Clone, key: Path, monkeypatch: pytest.MonkeyPatch) -> Production:
    """What is merged is merged ten minutes after it was decided, on a Thursday."""

    def set_clock(now: datetime.datetime) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", now.isoformat())

    set_clock(cases.NOW + datetime.timedelta(minutes=10))
    allow(clone, key)
    commit = clone.change(321)
    good = promote.promote(
        clone.repository,
        gate_inputs(clone, commit),
        Branch.of(upstream(clone.git), "production", "promote"),
        key,
    )
    return Production(clone, key, commit, good.evidence, set_clock)


def evidence_text(evidence: Evidence, **changes: object) -> str:
    return Evidence.model_validate(evidence.model_dump() | changes).as_text()
