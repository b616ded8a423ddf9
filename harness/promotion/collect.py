"""Collects what the gates need from Git, the source's cluster, evidence store, bucket, registry."""

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
from harness.policy.facts.pods import pods
from harness.policy.facts.serving import servers
from harness.policy.finding import Severity
from harness.promotion import evidence_store
from harness.promotion.branch import Upstream
from harness.promotion.evidence_store import EvidenceStore, StoredReports
from harness.promotion.gate_inputs import (
    Candidate,
    GateInputs,
    History,
    PromotionOptions,
    ReportedCommit,
)
from harness.promotion.running import Running
from harness.registry import Image
from harness.render import diff, digest
from harness.render.rendered import Environment
from harness.render.renderer import Renderer, pinned_commit
from harness.settings.gates import Gates
from harness.settings.site import UNSET

_REPLACED = ("promotion/evidence",)  # is about the pin that this promotion replaces
_KINDS: tuple[Kind, ...] = ("loadtest", "smoke")


def collect(
    upstream: Upstream,
    repository: Repository,
    gates: Gates,
    running: Running,
    store: EvidenceStore,
    options: PromotionOptions,
) -> GateInputs:
    """Everything that the gates of a promotion are evaluated on.

    Args:
        upstream: the shared history, fetched.
        repository: the clone.
        gates: of the target.
        running: what the source's cluster runs.
        store: the source's evidence store.
        options: the caller's.

    Raises:
        UsageError: the commit is not in this clone.
        InputError, HarnessError: something cannot be read.
    """
    source, target = gates.from_, options.target
    name = options.commit or running.commit
    commit = upstream.git.resolve(name)
    if commit is None:
        raise UsageError(
            f"commit {name} is not in this clone",
            hint="was main rewritten? git fetch origin shows it",
        )
    renderer = Renderer(repository)
    source_digest = digest.release_digest(renderer.at(source, commit))
    reports = {kind: evidence_store.of(store, source, source_digest, kind) for kind in _KINDS}
    target_candidate = candidate(renderer, target, commit, gates)
    return GateInputs(
        source=source,
        gates=gates,
        commit=commit,
        digest=source_digest,
        options=options,
        local_now=datetime.datetime.now(datetime.UTC),
        history=_history(upstream, commit, target_candidate.replaces),
        running=running,
        running_digest=digest.release_digest(renderer.at(source, running.commit)),
        reports=reports,
        reported=_reported_commits(upstream, renderer, source, reports),
        signers=signers(upstream),
        profile_sha256=load_profile(repository.cluster(source) / "loadtest.yaml").sha256,
        target_profile=load_profile(repository.cluster(target) / "loadtest.yaml"),
        candidate=dataclasses.replace(
            target_candidate,
            findings=_findings(upstream, repository, commit, target_candidate.replaces),
        ),
    )


def signers(upstream: Upstream) -> Signers:
    """Who may sign, as main has it; nobody without that file."""
    return Signers(upstream.git.read(upstream.main, SIGNERS) or "")


def candidate(renderer: Renderer, target: str, commit: str, gates: Gates) -> Candidate:
    """The target's folder × a commit, and whether what it needs exists.

    Without the findings of `harness check`: a release that comes back was checked when it came.
    """
    new = renderer.pinning(target, commit)
    old = renderer.live(target)
    lock = load_lock(renderer.commit(commit).root / "models" / "lock.yaml")
    unset = tuple(f"{each.key} ({each.location})" for each in new.unset)
    return Candidate(
        new=new,
        old=old,
        replaces=pinned_commit(renderer.tree, target),
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
        # Placeholders exist nowhere.
        missing=() if unset else tuple(_missing(renderer.repository, target, new, lock)),
        unsigned=() if unset else tuple(_unsigned_images(renderer.repository, new, gates)),
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
    for _, locked in lock.archives():
        try:
            if not bucket.has(locked):
                yield f"s3://{bucket.name} lacks {locked.mar}"
        except InputError as error:
            yield error.message
    for image in images(new):
        if not registry.exists(repository, image):
            yield f"image {image} not found"


def _unsigned_images(repository: Repository, new: Environment, gates: Gates) -> Iterator[str]:
    """The images without the signature that the gates require."""
    if gates.signed_image is None:
        return
    if gates.signed_image.identity == UNSET:
        yield "signedImage.identity is UNSET"
        return
    for image in images(new):
        reason = registry.signature_problem(
            repository, image, gates.signed_image.signer(repository)
        )
        if reason:
            yield f"{image} is not signed by {gates.signed_image}: {reason}"


def images(new: Environment) -> list[Image]:
    """The serving images, several if the servers of an environment differ, and what else runs from
    their repository, such as what decides about canaries.
    """
    serving = {text(server.container.value, "image") for server in servers(new)}
    repositories = {each.partition("@")[0] for each in serving}
    names = serving | {
        name
        for pod in pods(new, "Deployment")
        for container in pod.containers
        if (name := text(container.value, "image")).partition("@")[0] in repositories
    }
    return [Image.parse(each) for each in sorted(names)]


def _history(upstream: Upstream, commit: str, before: str | None) -> History:
    forward = before is None or upstream.git.is_ancestor(before, commit)
    return History(
        complaint=upstream.complaint(),
        reachable=upstream.reaches(commit),
        forward=forward,
        committed=_commit_date(upstream, commit),
    )


def _commit_date(upstream: Upstream, commit: str) -> datetime.datetime:
    date = upstream.git.run("show", "--no-patch", "--format=%cI", commit)
    return datetime.datetime.fromisoformat(date)


def _reported_commits(
    upstream: Upstream, renderer: Renderer, source: str, reports: Mapping[Kind, StoredReports]
) -> Mapping[str, ReportedCommit]:
    names = {proof.commit for of_kind in reports.values() for proof in of_kind.proofs}
    commits = {}
    for commit in filter(upstream.git.resolve, names):
        try:
            release_digest = digest.release_digest(renderer.at(source, commit))
        except HarnessError:
            continue  # the gate reports it as unknown
        commits[commit] = ReportedCommit(_commit_date(upstream, commit), release_digest)
    return commits
