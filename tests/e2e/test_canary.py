"""A change of a group's pods goes to a few of them first: the real Flagger, Prometheus and chart.

Pods are kwok's, with real servers behind their addresses (tests/support/served_pods.py). The
gateway is simulated: requests follow the weights of the HTTPRoute that Flagger writes. Figures are
those that the servers' PodMonitor brings; the gate is the one of `harness canary gate`.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import tools
from harness.canary import gate
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, merge, text
from harness.kubernetes import kinds
from harness.local_cluster import local
from harness.models.answer import Expected
from harness.models.samples import PreparedSample
from tests.canary.server import listening
from tests.e2e.scenario import NAME, Scenario
from tests.e2e.timeline import Timeline
from tests.launcher.conftest import pack
from tests.support import flagger, monitoring, prometheus, served_pods
from tests.support.processes import eventually
from tests.support.served_pods import MODEL, Pods

pytestmark = [pytest.mark.load, pytest.mark.timeout(3600)]

PRIMARY = f"{NAME}-primary"
_PROGRAMS = ("flagger", "prometheus", "prometheus-operator")
_RATE = 8.0  # requests per second
_ROUTE_READ = 0.5  # seconds until the route's weights are read again
_DECIDED = 400.0  # seconds that Flagger may take for a change, on a busy machine
_SAMPLE = PreparedSample(
    model=MODEL,
    version="1.0",
    name="sample",
    content_type="text/plain",
    body=b"sample",
    expected=Expected(text="elpmas"),
)
# Of what ships: steps of minutes, a window of two.
_FAST: Value = {
    "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 25, "maxWeight": 50},
    "window": "20s",
    "latencySeconds": 1.5,
}


@dataclass
class Setting:
    """What a test of it needs at hand."""

    scenario: Scenario
    pods: Pods
    gate: str
    log: Path

    @property
    def canary(self) -> Value:
        return self.scenario.one(flagger.CANARY, NAME, NAME)

    def phase(self) -> str:
        return text(self.canary, "status", "phase")

    def weights(self) -> dict[str, int]:
        """Of the HTTPRoute, by the Service's name."""
        route = self.scenario.api.get(flagger.HTTP_ROUTE, f"{NAME}-models", NAME)
        refs = items(route, "spec", "rules", 0, "backendRefs")
        return {text(each, "name"): int(str(dig(each, "weight") or 0)) for each in refs}

    def variant(self, deployment: str) -> str:
        """What $VARIANT is in a Deployment's pods."""
        value = self.scenario.one(kinds.DEPLOYMENT, deployment, NAME)
        container = items(value, "spec", "template", "spec", "containers")[0]
        return next(
            (
                text(each, "value")
                for each in items(container, "env")
                if text(each, "name") == "VARIANT"
            ),
            "",
        )

    def change(self, variant: str) -> str:
        """Commit pods of a variant, and wait until Flagger has decided; its phase then."""
        failed_before = text(self.canary, "status", "lastTransitionTime")
        self.scenario.commit(self.release(variant))
        eventually(lambda: self.variant(NAME) == variant, _DECIDED)
        eventually(lambda: self.phase() not in ("Succeeded", "Initialized", "Failed"), _DECIDED)
        eventually(lambda: self.phase() in ("Succeeded", "Failed"), _DECIDED)
        assert text(self.canary, "status", "lastTransitionTime") != failed_before
        return self.phase()

    def reasons(self) -> str:
        """What Flagger said of the last change."""
        return flagger.reasons(self.log.read_text())

    def release(self, variant: str) -> dict[str, str | None]:
        scaling = {"kind": "hpa", "minReplicas": 1, "maxReplicas": 1}
        canary = {
            "enabled": True,
            "hosts": ["torchserve.example.com"],
            "match": [{"uri": {"prefix": f"/predictions/{MODEL}"}}],
            "gate": self.gate,
            **_FAST,
        }
        values = {
            "gpus": 1,
            "autoscaling": scaling,
            "canary": canary,
            "env": [{"name": "VARIANT", "value": variant}],
        }
        stuck = self.scenario.pods_that("stuck")
        return self.scenario.release(merge({"timeout": "10m", "values": values}, stuck))


@pytest.fixture(scope="module")
def setting(checkout: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    missing = [each for each in _PROGRAMS if not tools.at_hand(checkout, each)]
    if missing:
        pytest.skip(f"not built: `harness tools {' '.join(missing)}`")
    folder = tmp_path_factory.mktemp("canary")
    pack("waiting", "waiting_handler.py", folder)
    folders = {name: folder / name for name in ("operator", "prometheus", "flagger")}
    for each in folders.values():
        each.mkdir()
    with ExitStack() as stack:
        cluster = stack.enter_context(local.running(checkout, "canary", nodes_of="production"))
        served_pods.addresses(cluster.api)
        flagger.kinds(checkout, cluster)
        scenario = Scenario(cluster, Timeline())
        scenario.begin()
        output = stack.enter_context(monitoring.operated(checkout, cluster, folders["operator"]))
        server = stack.enter_context(
            prometheus.running(checkout, folders["prometheus"], output.here(), {})
        )
        flagger.templates(checkout, cluster, server.url)
        pods = stack.enter_context(served_pods.running(cluster.api, NAME, folder / "waiting.mar"))
        service = f"http://127.0.0.1:{stack.enter_context(listening(_canary_service(pods)))}"
        samples = {NAME: {MODEL: (_SAMPLE,)}}
        webhook = gate.serving(samples, ("127.0.0.1", 0), service)
        address = f"http://127.0.0.1:{stack.enter_context(listening(webhook))}/"
        setting = Setting(scenario, pods, address, folders["flagger"] / "flagger.log")
        stack.enter_context(flagger.running(checkout, cluster, server.url, folders["flagger"]))
        pods.load.choose = _by_weight(setting)
        pods.load.rate = _RATE
        scenario.commit(setting.release("good"))
        eventually(lambda: _is_initialized(setting), _DECIDED)
        yield setting


def _is_initialized(setting: Setting) -> bool:
    canary = setting.scenario.api.get(flagger.CANARY, NAME, NAME)
    return text(canary, "status", "phase") == "Initialized"


def _by_weight(setting: Setting) -> Callable[[Sequence[str]], str]:
    """The gateway's part: a pod of the primary or of the canary, as the route weighs them."""
    weights: dict[str, int] = {}
    read_at, dice = [0.0], random.Random(0)  # noqa: S311  no secret

    def choose(ready: Sequence[str]) -> str:
        if time.monotonic() - read_at[0] > _ROUTE_READ:
            read_at[0] = time.monotonic()
            weights.update(setting.weights())
        primary = [each for each in ready if each.startswith(PRIMARY)]
        canary = [each for each in ready if not each.startswith(PRIMARY)]
        share = weights.get(f"{NAME}-models-canary", 0)
        chosen = canary if dice.random() * 100 < share else primary
        return dice.choice(chosen or primary or canary)

    return choose


def _canary_service(pods: Pods) -> ThreadingHTTPServer:
    """The canary's Service: what comes here goes to one of its pods that is Ready."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            urls = [url for name, url in pods.load.ready.items() if not name.startswith(PRIMARY)]
            status, answer = served_pods.predict(urls[0], body) if urls else (503, b"no endpoints")
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def test_a_good_change_is_promoted(setting: Setting, timeline: Timeline) -> None:
    with timeline.step("good → promoted"):
        assert setting.change("good-2") == "Succeeded", setting.reasons()
    assert setting.variant(PRIMARY) == "good-2"
    assert not setting.pods.load.failed, "clients noticed the change"


@pytest.mark.parametrize(
    ("variant", "reason"),
    [("wrong", "answers are wrong"), ("failing", "failures"), ("slow", "latency")],
)
def test_a_bad_change_goes_back(
    setting: Setting, timeline: Timeline, variant: str, reason: str
) -> None:
    served = setting.variant(PRIMARY)
    before = dict(setting.pods.load.failed)
    with timeline.step(f"{variant} → rolled back"):
        assert setting.change(variant) == "Failed", setting.reasons()
    assert reason in setting.reasons()
    assert setting.variant(PRIMARY) == served
    assert setting.weights() == {f"{NAME}-models-primary": 100, f"{NAME}-models-canary": 0}
    failed = {name: count - before.get(name, 0) for name, count in setting.pods.load.failed.items()}
    at_the_primary = {name: count for name, count in failed.items() if name.startswith(PRIMARY)}
    assert not any(at_the_primary.values()), "who was not the canary's client noticed it"
    timeline.load["requests"] = setting.pods.load.sent.total()
    timeline.figures["failed at the canary"] = sum(failed.values())
