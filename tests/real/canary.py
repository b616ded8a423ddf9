"""Canaries on real pods: Flagger, Prometheus, gate and shadow are pods like any other.

    canaries = Canaries(Pods(…))   # after canary_component.install
    canaries.switch_on()
    canaries.start("good-2")
    assert canaries.decide() == "Succeeded"

Real: the weights, which Envoy follows; the policies; the pods' start and end; Flux. Played: DNS
knows a Service when it is told of it.
"""

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
import yaml

from harness.core.values import Value, dig, items, mapping, text
from harness.kubernetes import canary as status
from harness.kubernetes import kinds
from harness.local_cluster.real import control_groups, gateway, images, release
from harness.local_cluster.real.gateway import DOMAIN
from harness.snapshot import routes
from tests.e2e.scenario import OVERLAY
from tests.real.pods import NAME, Pods
from tests.support.flagger import CANARY, HTTP_ROUTE, reasons

PRIMARY = f"{NAME}-primary"
SECOND = "second"
SYNC = f"{NAME}-model-sync"
_ENVIRONMENT = Path(OVERLAY).parents[1]
_HANDLER = Path(__file__).with_name("variant_handler.py")
_VERSION = "variants"  # of the model; a cluster has its first version from another handler
_DECIDED = 600.0  # seconds that Flagger may take for a change; 100 on a quiet machine
_READY = 120.0
_LOOK = 0.5  # seconds between two looks, which cost the machine that is measured
_STEP = 25  # percent
_SERVING = 2  # pods
# Of what ships: steps of a minute, a window of two.
_FAST: Value = {"interval": "10s", "threshold": 2, "maxWeight": 50}
_AT_REST = ("Initialized", "Succeeded", "Failed")
_DEADLINE = 240  # seconds for a pod to get ready, of the chart's sixteen minutes
_OF_CRASHING = 60  # nobody waits longer for one that cannot
_ASK = """
import json, sys, urllib.parse, urllib.request
query = urllib.parse.urlencode({"query": sys.argv[1]})
url = f"http://127.0.0.1:9090/api/v1/query?{query}"
print(urllib.request.urlopen(url, timeout=10).read().decode())
"""


@dataclass(frozen=True)
class Canaries:
    """A group under a Canary, on real pods."""

    pods: Pods

    @property
    def canary(self) -> Value:
        return mapping(self.pods.cluster.api.get(CANARY, NAME, NAME))

    def phase(self) -> str:
        return text(self.canary, "status", "phase")

    def state(self) -> str:
        """How `harness status` finds it."""
        deployments = self.pods.cluster.api.list_all(kinds.DEPLOYMENT, NAME)
        return status.state(self.canary, deployments)[0]

    def weights(self) -> dict[str, int]:
        """Of the HTTPRoute, by the Service's name."""
        route = self.pods.cluster.api.get(HTTP_ROUTE, f"{NAME}-models", NAME)
        refs = items(route, "spec", "rules", 0, "backendRefs")
        return {text(each, "name"): int(str(dig(each, "weight") or 0)) for each in refs}

    def is_mirrored(self) -> bool | None:
        """Whether the shadow gets copies; None while the gateway does not know the route yet."""
        route = self.pods.cluster.api.get(HTTP_ROUTE, f"{NAME}-models", NAME)
        accepted = [
            dig(condition, "observedGeneration")
            for parent in items(route, "status", "parents")
            for condition in items(parent, "conditions")
            if text(condition, "type") == "Accepted"
        ]
        if not accepted or {*accepted} != {dig(route, "metadata", "generation")}:
            return None
        return bool(items(route, "spec", "rules", 0, "filters"))

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for ``what``; where it does not come, say how the Canary is."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"timed out after {seconds:g} s waiting for {what}: {self.phase()}, "
                f"{self.weights()}\n{self.reasons()}"
            )
            time.sleep(_LOOK)

    def switch_on(self, variant: str = "good") -> None:
        """Give the group a Canary, and wait until Flagger has made the primary."""
        self.commit(variant)
        self.wait_for(lambda: self.phase() == "Initialized", "the primary", _DECIDED)
        gateway.publish(self.pods.cluster.api, self.pods.cluster.folder)

    def switch_off(self) -> None:
        """Go back to no Canary, as docs/canary.md says; wait until the primary is gone."""
        variant = self.variant(PRIMARY)
        on_hold = self.commit(variant, canary={"suspend": True, "maxReplicas": _SERVING})
        self.pods.cluster.sync(on_hold, seconds=_DECIDED)
        where = f"--namespace={NAME}"
        flux = "kustomize.toolkit.fluxcd.io/reconcile-"
        self.pods.kubectl("annotate", where, f"httproute/{NAME}-models", flux)
        self.pods.kubectl("scale", where, f"deployment/{NAME}", f"--replicas={_SERVING}")
        self.pods.settle()
        self.pods.follow(self.commit(variant, canary=None))
        timeout = f"--timeout={_READY:g}s"
        self.pods.kubectl("wait", "--for=delete", where, f"deployment/{PRIMARY}", timeout)

    def commit(
        self,
        variant: str,
        *,
        shadow: bool = True,
        step: int = _STEP,
        canary: Mapping[str, object] | None = MappingProxyType({}),
    ) -> str:
        """Commit pods of a variant, and have Flux fetch them; the commit.

        Args:
            variant: $VARIANT of the pods.
            shadow: whether the shadow gets copies.
            step: percent of the requests that the canary gets more every ten seconds.
            canary: other values of the chart's ``canary``; None: there is no Canary.
        """
        values: dict[str, object] = {
            "replicas": None,
            "autoscaling": {"kind": "hpa", "minReplicas": _SERVING, "maxReplicas": _SERVING},
            "env": [{"name": "VARIANT", "value": variant}],
        }
        group = routes.Group(NAME, first=True, models=[release.MODEL], canary=canary is not None)
        patches = []
        if canary is not None:
            values["canary"] = {
                "enabled": True,
                "hosts": [f"torchserve.{DOMAIN}"],
                "match": routes.canary_matches(group),
                "shadow": {"enabled": shadow},
                "analysis": {**_FAST, "stepWeight": step},
                "window": "20s",
                "latencySeconds": 1.5,
                **canary,
            }
            deadline = _OF_CRASHING if variant == "crashing" else _DEADLINE
            where = {"op": "replace", "path": "/spec/progressDeadlineSeconds", "value": deadline}
            patches = [{"target": {"kind": "Canary"}, "patch": json.dumps([where])}]
        changes = self.pods.release(_VERSION, values, _HANDLER)
        overlay = yaml.safe_load(str(changes[OVERLAY]))
        overlay["spec"]["postRenderers"] = [{"kustomize": {"patches": patches}}]
        changes = {
            **changes,
            **self._routes(group),
            OVERLAY: yaml.safe_dump(overlay, sort_keys=False),
        }
        commit = self.pods.cluster.bare.commit(changes, f"Pods of the variant {variant}")
        self.pods.request()
        return commit

    def _routes(self, group: routes.Group) -> dict[str, str]:
        """The group's routes in Git, which `harness snapshot` writes where there is a gateway."""
        groups, written = f"{_ENVIRONMENT}/kustomization.yaml", f"{NAME}/httproute.yaml"
        listed = self.pods.cluster.bare.read(groups)
        if written not in listed:
            listed += f"  - {written}\n"
        content = yaml.safe_dump_all(routes.http_routes(group), sort_keys=False)
        return {groups: listed, f"{_ENVIRONMENT}/{written}": content.replace("${DOMAIN}", DOMAIN)}

    def mirror(self, *, shadow: bool) -> None:
        """Have the shadow get copies, or none, before anything else changes.

        Of a change that comes with another route Flagger, after one that went back, notes the pods,
        waits for the route, and sees nothing new at its next look.
        """
        self.decide()  # about the last change
        self.wait_for(lambda: self.is_mirrored() is not None, "the gateway", _READY)
        if self.is_mirrored() is not shadow:
            self.commit(self.variant(PRIMARY), shadow=shadow)
            self.wait_for(lambda: self.is_mirrored() is shadow, "the route", _DECIDED)

    def start(self, variant: str, *, shadow: bool = True, step: int = _STEP) -> None:
        """Commit pods of a variant, and wait until Flagger has begun with them."""
        self.commit(variant, shadow=shadow, step=step)
        self.wait_for_pods(variant)
        self.wait_for(lambda: self.phase() not in _AT_REST, "Flagger to begin", _READY)

    def wait_for_pods(self, variant: str) -> None:
        """Wait until Flux has brought the pods of a variant."""
        self.wait_for(lambda: self.variant(NAME) == variant, f"pods of {variant}", _DECIDED)

    def wait_for_clients(self) -> None:
        """Wait until the canary gets clients' requests."""
        canary = f"{NAME}-models-canary"
        self.wait_for(lambda: self.weights()[canary] > 0, "the first step", _DECIDED)

    def decide(self, quiet: float = 0.0) -> str:
        """Wait until Flagger has decided; its phase then.

        Args:
            quiet: seconds in which it begins with nothing else.
        """
        self.wait_for(lambda: self.state() != "reconciling", "a decision", _DECIDED)
        time.sleep(quiet)
        return self.phase() if self.state() != "reconciling" else self.decide(quiet)

    def variant(self, deployment: str) -> str:
        """What $VARIANT is in a Deployment's pods."""
        value = self.pods.cluster.api.get(kinds.DEPLOYMENT, deployment, NAME)
        (container,) = items(value, "spec", "template", "spec", "containers")
        return next(
            text(each, "value")
            for each in items(container, "env")
            if text(each, "name") == "VARIANT"
        )

    def log(self) -> str:
        """Flagger's, since it was started."""
        return self.pods.kubectl("logs", "--namespace=canary", "deployment/flagger")

    def reasons(self) -> str:
        """What Flagger said of the last change."""
        return reasons(self.log())

    def analyses(self) -> int:
        """How many changes Flagger has begun with since it was started."""
        return self.log().count("New revision detected! Scaling up")

    def query(self, promql: str) -> float:
        """The one figure that Prometheus finds, or 0."""
        words = ("exec", "--namespace=monitoring", "deployment/prometheus", "--", "python", "-c")
        reply = json.loads(self.pods.kubectl(*words, _ASK, promql))
        return float(str(dig(reply, "data", "result", 0, "value", 1) or 0))

    def requests_to_canary(self, since: float) -> int:
        """How many requests pods of a canary have answered in the last seconds, well or not."""
        window = f"{int(time.time() - since) + 1}s"
        of_canary = f'{{group="{NAME}",pod!~"{PRIMARY}-.*"}}'
        count = 0.0
        for name in ("answers", "failures"):
            series = f"launcher_{name}_total{of_canary}"
            # But for pods of the last canary, of which the window has the end.
            new = f"max_over_time({series}[{window}]) unless {series} offset {window}"
            count += self.query(f"sum({new})")
        return round(count)

    def add_group(self) -> None:
        """A second group, of a pod that answers every request wrongly."""
        bare, group = self.pods.cluster.bare, Path(OVERLAY).parent
        changes = {}
        for name in ("config.properties", "kustomization.yaml", "model-files.yaml"):
            content = bare.read(str(group / name))
            changes[f"{group.with_name(SECOND) / name}"] = content.replace(
                f"{NAME}-snapshot", f"{SECOND}-snapshot"
            )
        overlay = yaml.safe_load(
            bare.read(OVERLAY).replace(f"{NAME}-snapshot", f"{SECOND}-snapshot")
        )
        overlay["metadata"]["name"] = overlay["spec"]["releaseName"] = SECOND
        del overlay["spec"]["values"]["canary"], overlay["spec"]["postRenderers"]
        wrong = [{"name": "VARIANT", "value": "wrong"}]
        overlay["spec"]["values"] |= {"replicas": 1, "autoscaling": {"kind": "none"}, "env": wrong}
        changes[f"{group.with_name(SECOND)}/helmrelease.yaml"] = yaml.safe_dump(overlay)
        groups = str(group.with_name("kustomization.yaml"))
        others = bare.read(groups).replace(f"  - {SECOND}\n", "")
        changes[groups] = others + f"  - {SECOND}\n"
        self.pods.cluster.sync(bare.commit(changes, "A second group"), seconds=_DECIDED)

    def start_sync_job(self) -> None:
        """A Job's pod with the labels of the sync Job's, which says whatever it is asked for."""
        labels = {
            "app.kubernetes.io/name": "torchserve",
            "app.kubernetes.io/instance": SYNC,
            "app.kubernetes.io/component": "model-sync",
        }
        container = {
            "name": "sync",
            "image": f"{images.SERVING}@{self.pods.images.digest}",
            "command": ["python", "-m", "http.server", "8080"],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        pod = {"restartPolicy": "Never", "containers": [container]}
        job: Value = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": SYNC, "namespace": NAME},
            "spec": {"template": {"metadata": {"labels": labels}, "spec": pod}},
        }
        self.pods.cluster.api.apply(job)
        self.pods.kubectl(
            "wait", f"--namespace={NAME}", "--for=condition=Ready", "pod", "--timeout=60s",
            f"--selector=app.kubernetes.io/instance={SYNC}",
        )  # fmt: skip

    def kill_flagger(self) -> None:
        """``kill -9`` its process; the kubelet starts it again."""
        nodes = control_groups.name_of(self.pods.cluster.folder, "")
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                where = Path(f"/proc/{process.pid}/cgroup").read_text()
                if nodes in where and process.name() == "flagger":
                    return process.kill()
        raise AssertionError("no pod runs flagger")
