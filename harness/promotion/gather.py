"""Asks Git, the source's cluster, the evidence store, bucket and registry: everything in a Case."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping

from harness import registry
from harness.archives import push
from harness.attestation.record import Kind
from harness.attestation.signature import SIGNERS, Signers
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.repository import Repository
from harness.core.values import text
from harness.loadtest import load_profile
from harness.models.lock import Lock, load_lock
from harness.policy import promoted
from harness.policy.finding import Severity
from harness.policy.serving import servers
from harness.promotion import evidence_store
from harness.promotion.branch import Upstream
from harness.promotion.case import Candidate, Case, Checkout, Reported, Wish
from harness.promotion.evidence_store import EvidenceStore, Kept
from harness.promotion.running import Running
from harness.registry import Image
from harness.render import diff, digest
from harness.render.rendered import Environment
from harness.render.renderer import Renderer, pinned_commit
from harness.settings import gates
from harness.settings.gates import Gates
from harness.settings.site import UNSET

_REPLACED = ("promotion/evidence",)  # is about the pin that this promotion replaces
_KINDS: tuple[Kind, ...] = ("loadtest", "smoke")


def gather(
    upstream: Upstream,
    repository: Repository,
    target: str,
    now_runs: Running,
    store: EvidenceStore,
    wish: Wish,
    *,
    commit: str = "",
) -> Case:
    """Everything that a promotion to ``target`` is judged by.

    Args:
        upstream: the shared history, fetched.
        repository: the checkout.
        target: the environment that shall move.
        now_runs: what the source's cluster runs.
        store: where the source's reports are.
        wish: what the caller asked for.
        commit: what shall move; what the source runs, unless told.

    Raises:
        UsageError: the commit is not in this checkout.
        InputError, HarnessError: something cannot be read or asked.
    """
    wanted = gates.load(repository, target)
    renderer = Renderer(repository)
    git = upstream.git
    moving = git.resolve(commit or now_runs.commit)
    if moving is None:
        raise UsageError(
            f"commit {commit or now_runs.commit} is not in this checkout",
            hint="was main rewritten? git fetch origin shows it",
        )
    proves, before = wanted.from_, pinned_commit(renderer.tree, target)
    proven = digest.release_digest(renderer.at(proves, moving))
    kept = {kind: evidence_store.of(store, proves, proven, kind) for kind in _KINDS}
    return Case(
        source=proves,
        target=target,
        gates=wanted,
        commit=moving,
        digest=proven,
        wish=wish,
        local_now=datetime.datetime.now(datetime.UTC),
        checkout=_checkout(upstream, moving, before),
        running=now_runs,
        running_digest=digest.release_digest(renderer.at(proves, now_runs.commit)),
        kept=kept,
        reported=_reported(upstream, renderer, proves, kept),
        signers=signers(upstream),
        profile_sha256=load_profile(repository.cluster(proves) / "loadtest.yaml").sha256,
        target_profile=load_profile(repository.cluster(target) / "loadtest.yaml"),
        candidate=dataclasses.replace(
            candidate(renderer, target, moving, wanted),
            findings=_findings(upstream, repository, moving, before),
        ),
    )


def signers(upstream: Upstream) -> Signers:
    """Who may sign, as main has it; nobody where it says nothing."""
    return Signers(upstream.git.read(upstream.main, SIGNERS) or "")


def candidate(renderer: Renderer, target: str, commit: str, wanted: Gates) -> Candidate:
    """The target's folder × a commit, and whether what it needs is there.

    What `harness check` finds in it is not asked: a release that goes back was judged when it came.
    """
    new = renderer.pinning(target, commit)
    old = renderer.live(target)
    lock = load_lock(renderer.commit(commit).root / "models" / "lock.yaml")
    unset = tuple(f"{each.key} ({each.location})" for each in new.unset)
    return Candidate(
        digest=digest.release_digest(new),
        faults=tuple(
            f"{each.object}: {each.message}"
            for each in new.faults
            if each.rule != "render/not-rendered"
        ),
        unset=unset,
        # Everything is new the first time, and nothing is lost by it.
        dangers=tuple(diff.dangers(diff.compare(old, new))) if old else (),
        models=tuple(lock.models),
        # Placeholders are nowhere to be found.
        missing=() if unset else tuple(_missing(renderer.repository, target, new, lock)),
        unsigned=() if unset else tuple(_unsigned(renderer.repository, new, wanted)),
    )


def _findings(
    upstream: Upstream, repository: Repository, commit: str, before: str | None
) -> tuple[str, ...]:
    """What main's rules find in main with the commit pinned."""
    report = promoted.check(repository, commit, main=upstream.main, pinned=before)
    return tuple(
        f"{each.location}: {each.rule}: {each.message}"
        for each in report.findings
        if each.severity is Severity.ERROR and each.rule not in _REPLACED
    )


def _missing(repository: Repository, target: str, new: Environment, lock: Lock) -> Iterator[str]:
    """What the target's bucket and registry lack of a release."""
    bucket = push.find(repository, target)
    for locked in lock.models.values():
        try:
            if not bucket.has(locked):
                yield f"s3://{bucket.name} lacks {locked.mar}"
        except InputError as error:
            yield error.message
    for image in images(new):
        if not registry.exists(repository, image):
            yield f"there is no {image}"


def _unsigned(repository: Repository, new: Environment, wanted: Gates) -> Iterator[str]:
    """The images that are not signed by whom the gates name."""
    if wanted.signed_image is None:
        return
    if wanted.signed_image.identity == UNSET:
        yield "signedImage.identity is UNSET"
        return
    for image in images(new):
        why = registry.signature_problem(repository, image, wanted.signed_image.signer(repository))
        if why:
            yield f"{image} is not signed by {wanted.signed_image}: {why}"


def images(new: Environment) -> list[Image]:
    """The serving image; more than one where an environment has several servers."""
    named = {text(server.container.value, "image") for server in servers(new)}
    return [Image.parse(each) for each in sorted(named)]


def _checkout(upstream: Upstream, commit: str, before: str | None) -> Checkout:
    forward = before is None or upstream.git.is_ancestor(before, commit)
    return Checkout(
        complaint=upstream.complaint(),
        reachable=upstream.reaches(commit),
        forward=forward,
        committed=_committed(upstream, commit),
    )


def _committed(upstream: Upstream, commit: str) -> datetime.datetime:
    said = upstream.git.run("show", "--no-patch", "--format=%cI", commit)
    return datetime.datetime.fromisoformat(said)


def _reported(
    upstream: Upstream, renderer: Renderer, source: str, kept: Mapping[Kind, Kept]
) -> Mapping[str, Reported]:
    named = {proof.commit for of_kind in kept.values() for proof in of_kind.proofs}
    found = {}
    for commit in filter(upstream.git.resolve, named):
        try:
            of_it = digest.release_digest(renderer.at(source, commit))
        except HarnessError:
            continue  # the gate says that nobody knows it
        found[commit] = Reported(_committed(upstream, commit), of_it)
    return found
