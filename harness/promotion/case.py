"""Everything that a promotion is judged by, as it was found at one moment."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from harness.attestation.record import Kind
from harness.attestation.signature import Signers
from harness.loadtest.profile import Profile
from harness.promotion.evidence import Proof
from harness.promotion.evidence_store import Kept
from harness.promotion.running import Running
from harness.render.diff import Danger
from harness.settings.gates import Gates


@dataclass(frozen=True, slots=True)
class Checkout:
    """What Git says of the checkout and of the commit that shall move.

    Attributes:
        complaint: why the checkout is not a clean, current main; empty where it is.
        reachable: whether the commit is in main or in a protected release branch.
        forward: whether it comes after the one that is pinned now, if there is one.
        committed: when it was made.
    """

    complaint: str
    reachable: bool
    forward: bool
    committed: datetime.datetime


@dataclass(frozen=True, slots=True)
class Reported:
    """A commit that reports name: when it was made, and its release digest in the source."""

    committed: datetime.datetime
    digest: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """The target's folder × the commit, rendered.

    Attributes:
        digest: of what it would run.
        faults: what does not render.
        unset: what is UNSET still.
        dangers: of the difference from what it runs now.
        models: of the lock.
        missing: what the target's bucket or registry lacks, with the reason.
        unsigned: the images that are not signed as the target's gates ask, with the reason.
        findings: what `harness check` finds in main with this commit pinned, by main's own rules.
    """

    digest: str
    faults: tuple[str, ...]
    unset: tuple[str, ...]
    dangers: tuple[Danger, ...]
    models: tuple[str, ...]
    missing: tuple[str, ...]
    unsigned: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for beside the plain way.

    Attributes:
        accept: dangers by their names, as ``name`` gives them.
        override: why a freeze does not count.
        downgrade: an older commit, or one of another line, is meant.
    """

    accept: tuple[str, ...] = ()
    override: str = ""
    downgrade: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a promotion is judged by.

    Attributes:
        source, target: the environments.
        gates: of the target.
        commit: what shall move.
        digest: the release digest of the commit in the source environment.
        wish: what the caller asked for.
        local_now: this machine's clock.
        running: the source's cluster.
        running_digest: the release digest of what it runs.
        kept: what the source's evidence store has of that digest, by kind.
        reported: what the checkout knows of the commits that they name.
        signers: who may sign, as main has it.
        profile_sha256: of the source's load profile, as the commit has it.
        target_profile: the target's, whose SLOs count too.
    """

    source: str
    target: str
    gates: Gates
    commit: str
    digest: str
    wish: Wish
    local_now: datetime.datetime
    checkout: Checkout
    running: Running
    running_digest: str
    kept: Mapping[Kind, Kept]
    reported: Mapping[str, Reported]
    signers: Signers
    profile_sha256: str
    target_profile: Profile
    candidate: Candidate

    @property
    def now(self) -> datetime.datetime:
        """By the API server's clock, which has gone on since it was asked."""
        return self.running.now + (self.local_now - self.running.asked)

    def newest(self, kind: Kind) -> Proof | None:
        """The newest report of a kind: an older, better one does not count."""
        return next(iter(self.kept[kind].proofs), None)
