"""The status of a cluster: what Flux follows, what it applied, what is not ready."""

import datetime
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass

from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, text
from harness.core.words import amount
from harness.kubernetes import canary, kinds, reconciliation
from harness.kubernetes.api import Api, Kind
from harness.kubernetes.transport import ApiError

_SOURCES = (kinds.GIT_REPOSITORY, kinds.OCI_REPOSITORY, kinds.HELM_REPOSITORY)
_RELEASE = "release"
_MESSAGE = 240  # characters of a reason; a controller may put a whole diff into it
_WAITS = "; a newer commit waits until that ends (docs/promotion.md, A fix that waits)"


@dataclass(frozen=True, slots=True)
class Row:
    """One object of Flux, or one pod.

    Attributes:
        state: ``ready``, ``not ready``, ``reconciling`` or ``suspended``.
        revision: what it fetched or applied last.
        age: seconds since its state last changed.
        why: its message; empty while it is ready.
    """

    kind: str
    name: str
    state: str
    revision: str
    age: int
    why: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """Everything that ``harness status`` shows.

    Attributes:
        main: the commit that the root follows.
        release: the commit that runs.
        pinned: whether ``release`` is a pin, and not simply main.
        behind: commits from ``release`` to ``main``; None if the checkout lacks one of them.
        rows: sources, Kustomizations, releases, Canaries, then the pods that are not ready.
    """

    version: str
    main: str
    release: str
    pinned: bool
    behind: int | None
    rows: tuple[Row, ...]

    @property
    def ready(self) -> bool:
        """Return whether nothing is wrong. What is suspended was meant to be."""
        return bool(self.rows) and all(row.state in ("ready", "suspended") for row in self.rows)

    def as_json(self) -> dict[str, object]:
        """Return the status as plain values."""
        return {"ready": self.ready, **asdict(self)}


def collect(cluster: Api, repository: Repository) -> ClusterStatus:
    """Read a cluster's status, and count commits in the checkout.

    Raises:
        ApiError: the cluster has no Flux, or denies reading.
    """
    now = datetime.datetime.now(datetime.UTC)
    sources = {
        text(each, "metadata", "name"): each for each in cluster.list_all(kinds.GIT_REPOSITORY)
    }
    main, release = (_commit(sources.get(name)) for name in (kinds.ROOT, _RELEASE))
    pin = text(sources.get(_RELEASE), "spec", "ref", "commit")
    flux_kinds = (*_SOURCES, kinds.KUSTOMIZATION, kinds.HELM_RELEASE)
    rows = [_row(each, kind, now) for kind in flux_kinds for each in list_if_served(cluster, kind)]
    rows += _canary_rows(cluster, now)
    complete = {
        text(each, "metadata", "uid")
        for each in cluster.list_all(kinds.JOB)
        if text(reconciliation.condition(each, "Complete"), "status") == "True"
    }
    rows += [
        _pod_row(pod, now) for pod in cluster.list_all(kinds.POD) if not is_well(pod, complete)
    ]
    return ClusterStatus(
        cluster.version(), main, release, bool(pin), _behind(repository, release, main), tuple(rows)
    )


def format_status(status: ClusterStatus) -> str:
    """Return the status as text, broken objects first."""
    return "\n".join(_lines(status))


def _lines(status: ClusterStatus) -> Iterator[str]:
    yield f"Kubernetes {status.version}"
    yield f"main      {status.main[:12] or '-'}"
    how = "pinned" if status.pinned else "follows main"
    count = "" if status.behind is None else f", {amount(status.behind, 'commit')} behind main"
    yield f"release   {status.release[:12] or '-'} ({how}{count})"
    broken = [row for row in status.rows if row.state not in ("ready", "suspended")]
    if broken:
        yield from ("", "not ready:")
    for row in broken:
        yield f"  {row.kind}/{row.name}: {row.why}"
    yield ""
    if status.rows:
        yield _cells("KIND", "NAME", "STATE", "REVISION", "AGE")
    for row in status.rows:
        yield _cells(row.kind, row.name, row.state, row.revision, _age(row.age))


def _cells(kind: str, name: str, state: str, revision: str, age: str) -> str:
    return f"{kind:14} {name:24} {state:12} {revision:32} {age:>5}"


def list_if_served(cluster: Api, kind: Kind) -> list[Value]:
    """Every object of a kind; none where the cluster does not know the kind."""
    try:
        return cluster.list_all(kind)
    except ApiError as error:
        if error.status == 404:  # a component that this cluster does without
            return []
        raise


def _canary_rows(cluster: Api, now: datetime.datetime) -> Iterator[Row]:
    for each in list_if_served(cluster, kinds.CANARY):
        namespace = text(each, "metadata", "namespace")
        state, why = canary.state(each, cluster.list_all(kinds.DEPLOYMENT, namespace))
        name, phase = text(each, "metadata", "name"), text(each, "status", "phase")
        changed = text(each, "status", "lastTransitionTime")
        yield Row("Canary", name, state, phase, _seconds(changed, now), why[:_MESSAGE])


def _row(value: Value, kind: Kind, now: datetime.datetime) -> Row:
    ready = reconciliation.condition(value, "Ready")
    changed = text(ready, "lastTransitionTime") or text(value, "metadata", "creationTimestamp")
    static = kind == kinds.HELM_REPOSITORY and text(value, "spec", "type") == "oci"
    state = _state(value, ready, static=static)
    why = "" if state == "ready" else text(ready, "message").replace("\n", " ")[:_MESSAGE]
    if kind == kinds.HELM_RELEASE and is_overtaken(value):
        why += _WAITS
    return Row(
        kind.name,
        text(value, "metadata", "name"),
        state,
        _applied_revision(value),
        _seconds(changed, now),
        why
        or ("" if state in ("ready", "suspended") else "its controller has not reconciled it yet"),
    )


def _state(value: Value, ready: object, *, static: bool) -> str:
    if not reconciliation.active(value):
        return "suspended"
    if reconciliation.ready(value) or static:
        return "ready"
    return "reconciling" if text(ready, "status") in ("Unknown", "") else "not ready"


def _applied_revision(value: Value) -> str:
    """What it fetched, applied or released last, short enough for a column."""
    revision = text(value, "status", "artifact", "revision") or text(
        value, "status", "lastAppliedRevision"
    )
    if revision:
        branch, _, commit = revision.partition("@")
        return f"{branch}@{commit.removeprefix('sha1:')[:12]}" if commit else revision[-32:]
    newest = dig(value, "status", "history", 0)
    version = text(newest, "chartVersion")
    return f"{version} r{dig(newest, 'version')} {text(newest, 'status')}" if version else ""


def _pod_row(pod: Value, now: datetime.datetime) -> Row:
    name = f"{text(pod, 'metadata', 'namespace')}/{text(pod, 'metadata', 'name')}"
    since = text(pod, "metadata", "creationTimestamp")
    return Row("Pod", name, "not ready", "", _seconds(since, now), pod_reason(pod)[:_MESSAGE])


def pod_reason(pod: Value) -> str:
    """Return what a container waits for, else the message of the scheduler or the kubelet."""
    for container in items(pod, "status", "containerStatuses"):
        if reason := text(container, "state", "waiting", "reason"):
            return f"{reason}: {text(container, 'state', 'waiting', 'message')}"
    for kind in ("PodScheduled", "Ready"):
        condition = reconciliation.condition(pod, kind)
        if text(condition, "status") == "False":
            return f"{text(condition, 'reason')}: {text(condition, 'message')}"
    return text(pod, "status", "phase")


def is_overtaken(release: Value) -> bool:
    """Return whether an action on a release is under way that is not what Git asks for any more."""
    ready = reconciliation.condition(release, "Ready")
    generation, observed = dig(release, "metadata", "generation"), dig(ready, "observedGeneration")
    older = isinstance(generation, int) and isinstance(observed, int) and observed < generation
    return older and text(ready, "status") == "Unknown"


def is_well(pod: Value, complete: Container[str]) -> bool:
    """Return whether a pod is ready, or has ended and was replaced.

    Args:
        pod: as the API server has it.
        complete: the uids of the Jobs that have succeeded.
    """
    owner = dig(pod, "metadata", "ownerReferences", 0)
    match text(pod, "status", "phase"):
        case "Succeeded":
            return True
        case "Failed" if text(owner, "kind") == "Job":
            return text(owner, "uid") in complete  # another try succeeded
        case "Failed" if owner:
            return True  # evicted, say: its owner has made another one
    return text(reconciliation.condition(pod, "Ready"), "status") == "True"


def _commit(source: Value | None) -> str:
    return text(source, "status", "artifact", "revision").rpartition(":")[2]


def _behind(repository: Repository, release: str, main: str) -> int | None:
    if not release or not main:
        return None
    if release == main:
        return 0
    git = Git(repository.root)
    if not (git.resolve(release) and git.resolve(main)):
        return None
    return int(git.run("rev-list", "--count", f"{release}..{main}"))


def _seconds(when: str, now: datetime.datetime) -> int:
    return int((now - datetime.datetime.fromisoformat(when)).total_seconds()) if when else 0


def _age(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
