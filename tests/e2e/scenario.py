"""A running local cluster, and what scenarios do with it: commit, wait, look."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml

from harness.core.errors import HarnessError
from harness.core.values import Value, dig, items, mapping, merge, text
from harness.kubernetes import kinds, reconciliation, status
from harness.kubernetes.api import Api, Kind
from harness.local_cluster import bare_repository
from harness.local_cluster.local import LocalCluster
from tests.e2e.timeline import Timeline

OVERLAY = "apps/torchserve/local/torchserve/helmrelease.yaml"
STORAGE = "infra/storage/kustomization.yaml"
APPS = "clusters/local/apps.yaml"
INFRA = "clusters/local/infra.yaml"
ROOT = "clusters/local/kustomization.yaml"
NAME = "torchserve"
SERVERS = "app.kubernetes.io/component=server"

# What a cluster takes minutes for, and a scenario cannot wait for. Nothing else is changed.
_FASTER = {
    "retryInterval: 1m": "retryInterval: 5s",
    "timeout: 75m": "timeout: 60s",
    "timeout: 5m": "timeout: 60s",
}
_RELEASE_FASTER: Value = {
    "timeout": "15s",
    "install": {"strategy": {"name": "RetryOnFailure", "retryInterval": "5s"}},
}
_LOG_LINES = 12
_LIFE = "harness.local/pod"


@dataclass
class Scenario:
    """One cluster that scenarios share; each begins and ends with the same tree."""

    cluster: LocalCluster
    timeline: Timeline = field(default_factory=Timeline)
    base: str = ""

    @property
    def notes(self) -> dict[str, object]:
        """Figures for the report."""
        return self.timeline.figures

    @property
    def api(self) -> Api:
        return self.cluster.api

    @property
    def bare(self) -> bare_repository.Bare:
        return self.cluster.bare

    def begin(self) -> None:
        """The working tree, with shorter time-outs, followed and Ready."""
        self.cluster.take()
        changes: dict[str, str | None] = {}
        for path in (APPS, INFRA, ROOT):
            changes[path] = self.bare.read(path)
            for slow, fast in _FASTER.items():
                changes[path] = str(changes[path]).replace(slow, fast)
        self.base = self.bare.commit(changes | self.release(_RELEASE_FASTER), "Shorter time-outs")
        self.cluster.follow()
        self.cluster.sync(self.base)

    def reset(self) -> None:
        """Back to the first tree, if the last scenario left another."""
        self._rest_at(self.bare.restore(self.base))

    def commit(self, changes: Mapping[str, str | None], message: str = "A change") -> str:
        """Commit and have Flux fetch it; return the commit."""
        commit = self.bare.commit(changes, message)
        reconciliation.request(self.api)
        return commit

    def sync(self, changes: Mapping[str, str | None]) -> str:
        """Commit, and wait until everything is applied and Ready; return the commit."""
        commit = self.bare.commit(changes, "A change")
        self._rest_at(commit)
        return commit

    def _rest_at(self, commit: str) -> None:
        self.cluster.sync(commit)
        self.wait_for_budget()

    def wait_for_budget(self, group: str = NAME) -> None:
        """Wait until the disruption budget has counted the pods, a moment after they are Ready."""

        def all_of_them(budget: Value) -> bool:
            status = mapping(budget, "status")
            return status.get("currentHealthy") == len(self.serving(group)) and bool(
                status.get("disruptionsAllowed")
            )

        self.wait_for(kinds.POD_DISRUPTION_BUDGET, group, all_of_them)

    def replacement(self, path: str, old: str, new: str) -> dict[str, str | None]:
        """A file of ``main`` with ``old`` replaced; it has to be there."""
        before = self.bare.read(path)
        assert old in before, f"{path} has no {old!r}"
        return {path: before.replace(old, new)}

    def release(self, spec: Mapping[str, object], path: str = OVERLAY) -> dict[str, str | None]:
        """A HelmRelease patch, the first group's by default, with ``spec`` merged into its own."""
        overlay = yaml.safe_load(self.bare.read(path))
        overlay["spec"] = merge(overlay["spec"], spec)
        return {path: yaml.safe_dump(overlay, sort_keys=False)}

    def pods_that(self, life: str = "usual", *, ready_after: str = "") -> Value:
        """``spec`` of a release whose servers live as harness/local_cluster/stages.yaml says.

        As values: helm-controller forgets that a patch was rolled back (`patched_pods`).
        """
        annotations = {"harness.local/ready-after": ready_after} if ready_after else {}
        return {"values": {"podLabels": {_LIFE: life}, "podAnnotations": annotations}}

    def patched_pods(self, life: str, *, kind: str = "Deployment") -> Value:
        """``spec`` of a release that says so of the pods of a kind by a patch."""
        patch: dict[str, object] = {"template": {"metadata": {"labels": {_LIFE: life}}}}
        if kind == "Job":
            patch["backoffLimit"] = 0
        change = {"target": {"kind": kind}, "patch": json.dumps(_patch_of(kind, {"spec": patch}))}
        return {"postRenderers": [{"kustomize": {"patches": [change]}}]}

    def note(self, name: str, value: str = "1") -> dict[str, str | None]:
        """A ConfigMap of that name, as a file of infra/storage."""
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": NAME},
            "data": {"value": value},
        }
        kustomization = yaml.safe_load(self.bare.read(STORAGE))
        kustomization["resources"] = [*kustomization["resources"], f"{name}.yaml"]
        return {
            f"infra/storage/{name}.yaml": yaml.safe_dump(config_map),
            STORAGE: yaml.safe_dump(kustomization),
        }

    def helm_release(self) -> Value:
        return self.one(kinds.HELM_RELEASE, NAME, kinds.FLUX_NAMESPACE)

    def deployment(self) -> Value:
        return self.one(kinds.DEPLOYMENT, NAME, NAME)

    def one(self, kind: Kind, name: str, namespace: str = "") -> Value:
        value = self.api.get(kind, name, namespace)
        assert value is not None, f"{kind.name} {name} not found"
        return value

    def pods(self, group: str = NAME) -> list[Value]:
        """A group's servers that are not on their way out."""
        labels = f"{SERVERS},app.kubernetes.io/instance={group}"
        pods = self.api.list_all(kinds.POD, NAME, labels)
        return [pod for pod in pods if not dig(pod, "metadata", "deletionTimestamp")]

    def serving(self, group: str = NAME) -> set[str]:
        """The uids of a group's pods that are Ready."""
        return {text(pod, "metadata", "uid") for pod in self.pods(group) if self.is_ready(pod)}

    def settings(self, pod: Value) -> str:
        """config.properties as the kubelet would mount it into a container of a pod that starts."""
        for volume in items(pod, "spec", "volumes"):
            if name := text(volume, "configMap", "name"):
                return text(self.one(kinds.CONFIG_MAP, name, NAME), "data", "config.properties")
            for item in items(volume, "downwardAPI", "items"):
                if text(item, "path") == "config.properties":
                    key = text(item, "fieldRef", "fieldPath").partition("'")[2].rstrip("']")
                    return text(pod, "metadata", "annotations", key)
        raise AssertionError("the pod mounts no settings")

    def is_ready(self, pod: Value) -> bool:
        return text(reconciliation.condition(pod, "Ready"), "status") == "True"

    @contextmanager
    def lost(self, node: str) -> Iterator[None]:
        """A node is lost while the block runs."""
        mark = "harness.local/lost"
        self.api.patch(kinds.NODE, node, {"metadata": {"annotations": {mark: "true"}}})
        try:
            yield
        finally:
            self.api.patch(kinds.NODE, node, {"metadata": {"annotations": {mark: None}}})

    def wait_for(
        self, kind: Kind, name: str, condition: Callable[[Value], bool], seconds: float = 60
    ) -> Value:
        """Watch one object of Flux, or of TorchServe's namespace, until ``so``."""

        def look(objects: list[Value]) -> Value | None:
            for each in objects:
                if text(each, "metadata", "name") == name and condition(each):
                    return each
            return None

        return self.api.wait_for(kind, look, seconds=seconds, what=f"{kind.name} {name}")

    def failing(self, kind: Kind, name: str, *, why: str, seconds: float = 90) -> str:
        """Wait until an object is not Ready and its message has ``why``; return the message."""

        def says(each: Value) -> bool:
            condition = reconciliation.condition(each, "Ready")
            return text(condition, "status") == "False" and why in text(condition, "message")

        return text(
            reconciliation.condition(self.wait_for(kind, name, says, seconds), "Ready"), "message"
        )

    def wait_until_ready(self, commit: str, seconds: float = 90) -> None:
        """Wait until everything is Ready at ``commit``; nothing but the source is asked to look."""
        reconciliation.request(self.api)
        for name in ("policies", "storage", NAME):
            self.wait_for(
                kinds.KUSTOMIZATION, name, lambda each: reconciliation.at(each, commit), seconds
            )
        self.wait_for(kinds.HELM_RELEASE, NAME, reconciliation.ready, seconds)

    def uids(self) -> dict[str, str]:
        """Every object in the cluster but for what controllers keep writing by themselves."""
        uids = {}
        for kind in self.api.kinds():
            if kind.name in _RESTLESS:
                continue
            for each in self.api.list_all(kind):
                where = (text(each, "metadata", key) for key in ("namespace", "name"))
                uids["/".join((kind.name, *where))] = text(each, "metadata", "uid")
        return uids


def is_rolled_back(release: Value) -> bool:
    """Whether helm-controller has undone a release's last upgrade, and still says so."""
    return text(reconciliation.condition(release, "Remediated"), "status") == "True"


_RESTLESS = ("Event", "Lease", "Pod", "EndpointSlice", "Endpoints", "Node", "PodMetrics")


def diagnosis(cluster: LocalCluster) -> str:
    """Conditions, warnings and the controllers' last complaints, for a scenario that failed."""
    try:
        lines = list(_conditions(cluster.api))
    except HarnessError as error:
        lines = [f"the API server: {error.message}"]
    return "\n".join([*lines, *_complaints(cluster)])


def _conditions(api: Api) -> Iterator[str]:
    for kind in (kinds.GIT_REPOSITORY, kinds.KUSTOMIZATION, kinds.HELM_CHART, kinds.HELM_RELEASE):
        for each in api.list_all(kind):
            yield f"{kind.name}/{text(each, 'metadata', 'name')}"
            for one in items(each, "status", "conditions"):
                words = (text(one, name) for name in ("type", "status", "reason", "message"))
                yield "    " + " ".join(words)[:500]
    for pod in api.list_all(kinds.POD):
        yield f"Pod/{text(pod, 'metadata', 'name')}: {status.pod_reason(pod)}"
    for event in api.list_all(kinds.EVENT):
        if text(event, "type") == "Warning":
            who = text(event, "involvedObject", "name")
            yield f"{who}: {text(event, 'reason')}: {text(event, 'message')[:300]}"


def _complaints(cluster: LocalCluster) -> Iterator[str]:
    for name in ("source-controller", "kustomize-controller", "helm-controller"):
        log = cluster.folder / "logs" / f"{name}.log"
        lines = log.read_text().splitlines() if log.exists() else []
        yield from ("", name, *[x for x in lines if '"level":"error"' in x][-_LOG_LINES:])


def _patch_of(kind: str, patch: dict[str, object]) -> dict[str, object]:
    """A strategic merge patch has a name; with a ``target`` beside it nobody looks at it."""
    api_version = {"Deployment": "apps/v1", "Job": "batch/v1"}[kind]
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "any"}, **patch}
