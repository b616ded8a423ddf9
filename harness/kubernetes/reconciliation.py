"""Whether Flux has applied a commit, by the conditions of its own objects."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.core.values import Value, dig, items, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Api

_HANDLED = "lastHandledReconcileAt"


@dataclass(frozen=True)
class Clock:
    """A deadline shared by several waits."""

    deadline: float

    @classmethod
    def of(cls, seconds: float) -> "Clock":
        """A clock that runs out in ``seconds``."""
        return cls(time.monotonic() + seconds)

    @property
    def remaining(self) -> float:
        """Return the seconds that remain, at least half a second."""
        return max(0.5, self.deadline - time.monotonic())


def request(cluster: Api) -> None:
    """Ask Flux to fetch every Git source now."""
    for source in cluster.list_all(kinds.GIT_REPOSITORY, kinds.FLUX_NAMESPACE):
        cluster.reconcile(kinds.GIT_REPOSITORY, text(source, "metadata", "name"))


def wait(cluster: Api, commit: str, *, seconds: float) -> None:
    """Wait until everything that Flux applies is that of ``commit``, and Ready.

    First the root, then the sources that it brings (each at ``commit`` or at the commit that it
    pins), what the Kustomizations apply, the releases, and last the Kustomizations' health checks.
    Releases are requested again, since a changed ConfigMap leaves no mark on a release until it is
    reconciled; Kustomizations, since by themselves they check health every 5 s
    (kustomize-controller, checkHealth). Suspended objects are left out.

    Args:
        cluster: the cluster.
        commit: what ``main`` is at.
        seconds: how long all of it may take.

    Raises:
        HarnessError: timed out; the text names what is not Ready, and why.
    """
    clock = Clock.of(seconds)
    cluster.wait_for(
        kinds.KUSTOMIZATION,
        lambda objects: any(at(each, commit) for each in objects if _name(each) == kinds.ROOT),
        seconds=clock.remaining,
        what=f"the root Kustomization to be at {commit[:12]}",
    )
    request(cluster)
    revisions = cluster.wait_for(
        kinds.GIT_REPOSITORY,
        lambda objects: _revisions(objects, commit),
        seconds=clock.remaining,
        what=f"every GitRepository to be at {commit[:12]}, or at its pin",
    )
    cluster.wait_for(
        kinds.KUSTOMIZATION,
        lambda objects: all(_is_applied(each, revisions) for each in objects if active(each)),
        seconds=clock.remaining,
        what=f"every Kustomization to apply {commit[:12]}",
    )
    _wait_for_releases(cluster, revisions, clock)
    _wait_for_health(cluster, revisions, clock)


def at(kustomization: Value, commit: str) -> bool:
    """Return whether a Kustomization is Ready with a commit."""
    return ready(kustomization) and _revision(kustomization).endswith(commit)


def active(value: Value) -> bool:
    """Return whether Flux reconciles it at all."""
    return dig(value, "spec", "suspend") is not True


def ready(value: Value) -> bool:
    """Return whether it is Ready at its latest generation."""
    observed = dig(value, "status", "observedGeneration") == dig(value, "metadata", "generation")
    return observed and text(condition(value, "Ready"), "status") == "True"


def condition(value: Value, kind: str) -> object:
    """Return its condition of a type, or None if it has none."""
    for each in items(value, "status", "conditions"):
        if text(each, "type") == kind:
            return each
    return None


def _wait_for_releases(cluster: Api, revisions: Mapping[str, str], clock: Clock) -> None:
    cluster.wait_for(
        kinds.HELM_CHART,
        lambda objects: _charts_follow(objects, revisions),
        seconds=clock.remaining,
        what="every chart to be packed from its source's commit",
    )
    tokens = {}
    for release in filter(active, cluster.list_all(kinds.HELM_RELEASE)):
        token = str(time.time())
        cluster.reconcile(kinds.HELM_RELEASE, _name(release), token=token)
        tokens[_name(release)] = token

    def all_ready(objects: list[Value]) -> bool:
        """Return whether all are, but for those that the commit removes: they are gone."""
        handled = {_name(each): text(each, "status", _HANDLED) for each in objects if ready(each)}
        present = tokens.keys() & map(_name, objects)
        return all(handled.get(name) == tokens[name] for name in present)

    cluster.wait_for(
        kinds.HELM_RELEASE, all_ready, seconds=clock.remaining, what="every release to be Ready"
    )


def _wait_for_health(cluster: Api, revisions: Mapping[str, str], clock: Clock) -> None:
    for kustomization in filter(active, cluster.list_all(kinds.KUSTOMIZATION)):
        if not _follows(kustomization, revisions):
            cluster.reconcile(kinds.KUSTOMIZATION, _name(kustomization))
    cluster.wait_for(
        kinds.KUSTOMIZATION,
        lambda objects: all(_follows(each, revisions) for each in objects if active(each)),
        seconds=clock.remaining,
        what="every Kustomization to be Ready",
    )


def _revisions(sources: list[Value], commit: str) -> dict[str, str] | None:
    """Each source's revision, if all of them are where they should be."""
    revisions = {}
    for source in filter(active, sources):
        expected = text(source, "spec", "ref", "commit") or commit
        revision = text(source, "status", "artifact", "revision")
        if not ready(source) or not revision.endswith(expected):
            return None
        revisions[_name(source)] = revision
    return revisions or None


def _is_applied(kustomization: Value, revisions: Mapping[str, str]) -> bool:
    """Return whether everything is applied, with the health check behind it or under way."""
    message = text(condition(kustomization, "Healthy"), "message")
    checks = (
        message.startswith("Running health checks")
        and _expected_revision(kustomization, revisions) in message
    )
    return checks or _follows(kustomization, revisions)


def _follows(kustomization: Value, revisions: Mapping[str, str]) -> bool:
    return ready(kustomization) and _revision(kustomization) == _expected_revision(
        kustomization, revisions
    )


def _expected_revision(kustomization: Value, revisions: Mapping[str, str]) -> str:
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
