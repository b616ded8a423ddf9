"""Whether Flux has applied a commit: what it says in the conditions of its own objects."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Api

_HANDLED = "lastHandledReconcileAt"


@dataclass(frozen=True)
class Clock:
    """What is left of a time."""

    deadline: float

    @classmethod
    def of(cls, seconds: float) -> "Clock":
        """A clock that runs out in ``seconds``."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds that are left, never less than a short one."""
        return max(0.5, self.deadline - time.monotonic())


def request(cluster: Api) -> None:
    """Ask Flux to look at every Git source now."""
    for source in cluster.every(kinds.GIT_REPOSITORY, kinds.FLUX_NAMESPACE):
        cluster.reconcile(kinds.GIT_REPOSITORY, text(source, "metadata", "name"))


def wait(cluster: Api, commit: str, *, seconds: float) -> None:
    """Wait until everything that Flux applies is what ``commit`` says, and Ready.

    First the root, then the sources that it brings (each at ``commit`` or at the commit that it
    pins), what the Kustomizations apply, the releases, and last the Kustomizations' health checks.
    Releases are asked to look once more, since a changed ConfigMap leaves no mark on a release
    until it has; Kustomizations, since they look at health every 5 s by themselves
    (kustomize-controller, checkHealth). What is suspended is left out.

    Args:
        cluster: the cluster.
        commit: what ``main`` is at.
        seconds: how long all of it may take.

    Raises:
        HarnessError: not in time; the text says what is not Ready, and why.
    """
    clock = Clock.of(seconds)
    cluster.until(
        kinds.KUSTOMIZATION,
        lambda found: any(at(each, commit) for each in found if _name(each) == kinds.ROOT),
        seconds=clock.left,
        what=f"the root Kustomization is at {commit[:12]}",
    )
    request(cluster)
    revisions = cluster.until(
        kinds.GIT_REPOSITORY,
        lambda found: _revisions(found, commit),
        seconds=clock.left,
        what=f"every GitRepository is at {commit[:12]}, or at what it pins",
    )
    cluster.until(
        kinds.KUSTOMIZATION,
        lambda found: all(_applied(each, revisions) for each in found if active(each)),
        seconds=clock.left,
        what=f"every Kustomization has applied {commit[:12]}",
    )
    _releases(cluster, revisions, clock)
    _health(cluster, revisions, clock)


def at(kustomization: Value, commit: str) -> bool:
    """Whether a Kustomization is Ready with a commit."""
    return ready(kustomization) and _revision(kustomization).endswith(commit)


def active(value: Value) -> bool:
    """Whether Flux reconciles it at all."""
    return dig(value, "spec", "suspend") is not True


def ready(value: Value) -> bool:
    """Whether it is Ready in the form that was last asked for."""
    seen = dig(value, "status", "observedGeneration") == dig(value, "metadata", "generation")
    return seen and text(condition(value, "Ready"), "status") == "True"


def condition(value: Value, kind: str) -> object:
    """Its condition of a type; None where it has none."""
    for each in items(value, "status", "conditions"):
        if text(each, "type") == kind:
            return each
    return None


def _releases(cluster: Api, revisions: Mapping[str, str], clock: Clock) -> None:
    cluster.until(
        kinds.HELM_CHART,
        lambda found: _charts_follow(found, revisions),
        seconds=clock.left,
        what="every chart is packed from its source's commit",
    )
    asked = {}
    for release in filter(active, cluster.every(kinds.HELM_RELEASE)):
        token = str(time.time())
        cluster.reconcile(kinds.HELM_RELEASE, _name(release), token=token)
        asked[_name(release)] = token

    def done(found: list[Value]) -> bool:
        handled = {_name(each): text(each, "status", _HANDLED) for each in found if ready(each)}
        return all(handled.get(name) == token for name, token in asked.items())

    cluster.until(kinds.HELM_RELEASE, done, seconds=clock.left, what="every release is Ready")


def _health(cluster: Api, revisions: Mapping[str, str], clock: Clock) -> None:
    for kustomization in filter(active, cluster.every(kinds.KUSTOMIZATION)):
        if not _follows(kustomization, revisions):
            cluster.reconcile(kinds.KUSTOMIZATION, _name(kustomization))
    cluster.until(
        kinds.KUSTOMIZATION,
        lambda found: all(_follows(each, revisions) for each in found if active(each)),
        seconds=clock.left,
        what="every Kustomization is Ready",
    )


def _revisions(sources: list[Value], commit: str) -> dict[str, str] | None:
    """Each source's revision, if all of them are where they should be."""
    found = {}
    for source in filter(active, sources):
        wanted = text(source, "spec", "ref", "commit") or commit
        revision = text(source, "status", "artifact", "revision")
        if not ready(source) or not revision.endswith(wanted):
            return None
        found[_name(source)] = revision
    return found or None


def _applied(kustomization: Value, revisions: Mapping[str, str]) -> bool:
    """Whether everything is applied, with the health check behind it or under way."""
    told = text(condition(kustomization, "Healthy"), "message")
    checks = told.startswith("Running health checks") and _wanted(kustomization, revisions) in told
    return checks or _follows(kustomization, revisions)


def _follows(kustomization: Value, revisions: Mapping[str, str]) -> bool:
    return ready(kustomization) and _revision(kustomization) == _wanted(kustomization, revisions)


def _wanted(kustomization: Value, revisions: Mapping[str, str]) -> str:
    return revisions.get(text(kustomization, "spec", "sourceRef", "name"), "")


def _charts_follow(charts: list[Value], revisions: Mapping[str, str]) -> bool:
    return all(
        text(chart, "status", "observedSourceArtifactRevision")
        == revisions[text(chart, "spec", "sourceRef", "name")]
        for chart in charts
        if text(chart, "spec", "sourceRef", "name") in revisions
    )


def _revision(kustomization: Value) -> str:
    return text(kustomization, "status", "lastAppliedRevision")


def _name(value: Value) -> str:
    return text(value, "metadata", "name")
