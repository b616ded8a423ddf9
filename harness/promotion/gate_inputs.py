"""Everything that a promotion's gates are evaluated on, as it was at one moment."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from harness.attestation.record import Kind
from harness.attestation.signature import Signers
from harness.loadtest.profile import Profile
from harness.promotion.evidence_store import StoredReports
from harness.promotion.report_file import Proof
from harness.promotion.running import Running
from harness.render.diff import Danger
from harness.render.rendered import Environment
from harness.settings.gates import Gates


@dataclass(frozen=True, slots=True)
class History:
    """What Git knows of the repository and of the commit to promote.

    Attributes:
        complaint: why the working tree is not a clean, current main, or "" if it is.
        reachable: whether the commit is in main or in a protected release branch.
        forward: whether it comes after the one that is pinned now, if there is one.
        committed: when it was committed.
    """

    complaint: str
    reachable: bool
    forward: bool
    committed: datetime.datetime


@dataclass(frozen=True, slots=True)
class ReportedCommit:
    """A commit that a report names: its date, and its release digest in the source."""

    committed: datetime.datetime
    digest: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """The target's folder × the commit, rendered once for all that follows.

    Attributes:
        new: what it would run.
        old: what it runs now, or None the first time.
        replaces: the commit that it pins now, or None if it pins none.
        digest: of ``new``.
        faults: what does not render.
        unset: what is still UNSET.
        dangers: of the difference between the two.
        models: of the lock.
        missing: what the target's bucket or registry lacks, with the reason.
        unsigned: the images that are not signed as the target's gates require, with the reason.
        findings: what `harness check` finds in main with this commit pinned, by main's own rules.
    """

    new: Environment
    old: Environment | None
    replaces: str | None
    digest: str
    faults: tuple[str, ...]
    unset: tuple[str, ...]
    dangers: tuple[Danger, ...]
    models: tuple[str, ...]
    missing: tuple[str, ...]
    unsigned: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromotionOptions:
    """What to promote, and which exceptions the caller asks for.

    Attributes:
        target: the environment whose pointer moves.
        commit: what it moves to; by default, what the source runs.
        accept: dangers by their names, as ``evaluation.danger_name`` returns them.
        override: why a freeze does not count.
        downgrade: allow an older commit, or one of another line.
    """

    target: str = "production"
    commit: str = ""
    accept: tuple[str, ...] = ()
    override: str = ""
    downgrade: bool = False


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Everything that the gates are evaluated on.

    Attributes:
        source: the environment that proves releases.
        gates: of the target.
        commit: what to promote.
        digest: the release digest of the commit in the source environment.
        options: the caller's.
        local_now: this machine's clock.
        history: what Git knows.
        running: the source's cluster.
        running_digest: the release digest of what it runs.
        reports: what the source's evidence store has of that digest, by kind.
        reported: the commits that they name, by name; those that this repository has.
        signers: who may sign, as main has it.
        profile_sha256: of the source's load profile, as the commit has it.
        target_profile: the target's, whose SLOs count too.
        candidate: the target with the commit.
    """

    source: str
    gates: Gates
    commit: str
    digest: str
    options: PromotionOptions
    local_now: datetime.datetime
    history: History
    running: Running
    running_digest: str
    reports: Mapping[Kind, StoredReports]
    reported: Mapping[str, ReportedCommit]
    signers: Signers
    profile_sha256: str
    target_profile: Profile
    candidate: Candidate

    @property
    def target(self) -> str:
        """The environment whose pointer moves."""
        return self.options.target

    @property
    def now(self) -> datetime.datetime:
        """By the API server's clock, plus the time since the cluster was read."""
        return self.running.now + (self.local_now - self.running.read_at)

    def newest(self, kind: Kind) -> Proof | None:
        """The newest report of a kind: an older, better one does not count."""
        return next(iter(self.reports[kind].proofs), None)
