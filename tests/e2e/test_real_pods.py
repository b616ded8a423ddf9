"""The unchanged chart in real containers, under open-loop load through the real gateway.

Real: kubelet, containerd, runc, CNI, kube-proxy, enforced network policies, Envoy Gateway and
Envoy, Flux, the chart, the serving image. Played: the load balancer before the proxies, and tokens.

A row is one scenario: ``ours`` with the chart as it is, ``stock`` with what TorchServe's own image
does. Its figures go into build/e2e-load/rows, and a page shows all rows that there are. One row,
and the scenario of `make e2e` ten times in a row:

    make e2e-load ONLY=drain-ours
    make e2e-load ONLY=ten-rolls
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.core import files
from harness.models import build
from tests.e2e.timeline import Timeline
from tests.real import disturbances, faults, page, row, store
from tests.real.disturbances import QUIET, Disturb, Values
from tests.real.pods import MODEL, Pods
from tests.real.row import OURS, STOCK, Row
from tests.real.stock import VALUES
from tests.real.watch import Watch, join

# The first one also starts the cluster.
pytestmark = pytest.mark.timeout(1200)

RATE = 75.0  # requests a second
LONG = 140.0  # seconds of a long scenario
MANY = 10_000  # requests of one
_MOST = 250  # requests that a death may cost: what is on its way, and what comes until it is seen

ZERO_LOSS: dict[str, Disturb] = {
    "roll": disturbances.roll,
    "image": disturbances.image,
    "scale": disturbances.scale,
    "drain": disturbances.drain,
    "evict": disturbances.evict,
    "never-ready": disturbances.never_ready,
    # What follows is not the servers' doing: there is no stock way.
    "chart": disturbances.chart,
    "group": disturbances.group,
    "flux": disturbances.flux,
    "api-server": disturbances.api_server,
    "gateway-controller": disturbances.gateway_controller,
    "proxies": disturbances.proxies,
    "certificate": disturbances.certificate,
    "kubelet": disturbances.kill_kubelet,
}
_BOTH_WAYS = ("roll", "image", "scale", "drain", "evict", "never-ready")
BOUNDED: dict[str, Disturb] = {
    "worker": disturbances.kill("model_service_worker"),
    "jvm": disturbances.kill("org.pytorch.serve.ModelServer"),
    "pod": disturbances.kill_pod,
    "node": disturbances.kill_node,
    "worker-oom": disturbances.eat_memory,
    "store": disturbances.hang_store,
    "launcher": disturbances.kill("-m launcher"),  # stock has none
}
# What else a client does, and how many requests it sends at least.
CLIENTS: dict[str, tuple[dict[str, object], int]] = {
    "http2": ({"client": "http2"}, MANY),
    "grpc": ({"client": "grpc"}, MANY),
    # A body that takes ten seconds, larger than what Envoy buffers by default.
    "slow-upload": ({"upload": 10.0, "size": 100_000, "rate": 10.0, "patience": 60.0}, 1_300),
    # Up to two batches of 20 s, and none of them is cut by the stop of its pod.
    "long-prediction": ({"rate": 0.5, "patience": 120.0}, 65),
}

# A worker is gone as long as in the row of one that is killed.
_SLOW: Values = {"env": [{"name": "LOAD_SECONDS", "value": "10"}]}
# Requests a second of each of the repository's models. At 1.0 two cores are so full that the start
# of new pods stalls every model for more than four seconds.
_OWN_RATE = 0.5
_BESIDE = 50.0  # of the cheap model meanwhile
_OWN_SECONDS, _OWN_REQUESTS = 620.0, 300  # of one of them
# Six workers, five of which have PyTorch or ONNX Runtime loaded.
_OWN_RESOURCES: Values = {
    "resources": {
        "requests": {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "256Mi"},
        "limits": {"memory": "4Gi", "ephemeral-storage": "2Gi"},
    }
}
_RUNS = range(1, 11)  # of the short rolling update


def _rows(scenarios: dict[str, Disturb], *stock: str) -> list[object]:
    return [
        pytest.param(name, kind, id=f"{name}-{kind}")
        for name in scenarios
        for kind in (OURS, STOCK)
        if kind == OURS or name in stock
    ]


def _values(kind: str) -> Values:
    return VALUES if kind == STOCK else {}


@dataclass(frozen=True)
class Notes:
    """Keeps what was measured: the report's figures, the row, the page of all rows."""

    folder: Path
    timeline: Timeline

    def add(
        self,
        watch: Watch,
        scenario: str,
        kind: str,
        *,
        capacity: float = 0.0,
        earlier: Sequence[Watch] = (),
    ) -> None:
        """Write the row of a watch; with ``earlier`` ones of the same it is the row of all."""
        whole = join([*earlier, watch]) if earlier else watch
        self.keep(row.of(scenario, kind, whole, capacity))
        self.report(row.of(scenario, kind, watch, capacity))

    def keep(self, measured: Row) -> None:
        """Write a row, and the page of all rows."""
        row.write(self.folder, measured)
        rows = row.read(self.folder)
        files.write(self.folder.with_name("real-pods.html"), page.render(rows))
        files.write(self.folder.with_name("real-pods.md"), row.table(rows) + "\n")

    def report(self, measured: Row) -> None:
        """Say what was measured."""
        figures = self.timeline.figures
        self.timeline.load |= measured.counts
        for what, (began, ended) in measured.marks.items():
            figures[f"{what}, s"] = round(ended - began, 1)
        figures["p99 quiet, ms"] = measured.quiet
        figures["p99 during, ms"] = measured.disturbed
        if measured.capacity:
            figures["one pod's capacity, 1/s"] = measured.capacity
        if measured.why:
            figures["why"] = measured.why


@pytest.fixture
def notes(pytestconfig: pytest.Config, timeline: Timeline) -> Notes:
    return Notes(pytestconfig.rootpath / row.FOLDER, timeline)


def _capacity(pods: Pods, kind: str, **more: object) -> float:
    # A stock pod is Ready before its model is there, so that it would answer nothing at first.
    return pods.capacity(**more) if kind == OURS else 0.0


def _short_roll(pods: Pods, before: str, after: str) -> Watch:
    pods.sync(pods.release(before))
    with pods.load(RATE, 3 * QUIET) as watch:
        watch.quiet(QUIET)
        with watch.during("a new version of the model"):
            pods.sync(pods.release(after))
        watch.quiet(QUIET)
    assert watch.counts()["requests"] >= RATE * 2 * QUIET
    return watch


def test_rolling_update_loses_nothing(pods: Pods, notes: Notes) -> None:
    watch = _short_roll(pods, "1.0", "2.0")
    notes.add(watch, "short-roll", OURS)
    assert watch.losses() == {}, watch.why()


@pytest.fixture(scope="module")
def runs() -> list[Watch]:
    return []


@pytest.mark.load
@pytest.mark.parametrize("run", _RUNS, ids="ten-rolls-{}".format)
def test_rolling_update_loses_nothing_ten_times_in_a_row(
    pods: Pods, notes: Notes, runs: list[Watch], run: int
) -> None:
    versions = ("1.0", "2.0") if run % 2 else ("2.0", "1.0")
    watch = _short_roll(pods, *versions)
    notes.add(watch, "ten-rolls", OURS, earlier=runs)
    runs.append(watch)
    assert watch.losses() == {}, watch.why()


@pytest.mark.load
@pytest.mark.parametrize(("scenario", "kind"), _rows(ZERO_LOSS, *_BOTH_WAYS))
def test_zero_loss(pods: Pods, notes: Notes, scenario: str, kind: str) -> None:
    values = _values(kind)
    pods.sync(pods.release(values=values))
    capacity = _capacity(pods, kind)
    with pods.load(RATE, LONG) as watch:
        watch.quiet(2 * QUIET)
        ZERO_LOSS[scenario](pods, watch, values)
    notes.add(watch, scenario, kind, capacity=capacity)
    assert watch.counts()["requests"] >= MANY
    # What the stock way loses is for the table.
    assert kind == STOCK or watch.losses() == {}, watch.why()


@pytest.mark.load
@pytest.mark.parametrize(("scenario", "kind"), _rows(BOUNDED, *[*BOUNDED][:-1]))
def test_death_costs_no_more_than_it_held(
    pods: Pods, notes: Notes, scenario: str, kind: str
) -> None:
    values = _values(kind)
    with _served(pods, scenario, values):
        capacity = _capacity(pods, kind)
        with pods.load(RATE, 6 * QUIET) as watch:
            watch.quiet(2 * QUIET)
            BOUNDED[scenario](pods, watch, values)
    notes.add(watch, scenario, kind, capacity=capacity)
    assert watch.counts()["wrong"] == 0
    # Whoever serves reads nothing of the store.
    most = 0 if scenario == "store" else _MOST
    assert kind == STOCK or sum(watch.losses().values()) <= most, watch.why()


@contextmanager
def _served(pods: Pods, scenario: str, values: Values) -> Iterator[None]:
    """The pods that a scenario wants, while the block runs."""
    if scenario == "store":
        with store.serve(pods, pods.release(values={**values, **store.VALUES})):
            yield
        return
    if scenario == "worker-oom":
        pods.sync(faults.changes(pods, {**values, **_SLOW}))
    else:
        pods.sync(pods.release(values=values))
    yield


@pytest.mark.load
@pytest.mark.parametrize(
    ("client", "kind"),
    [pytest.param(each, kind, id=f"{each}-{kind}") for each in CLIENTS for kind in (OURS, STOCK)],
)
def test_zero_loss_of_other_clients(pods: Pods, notes: Notes, client: str, kind: str) -> None:
    more, least = CLIENTS[client]
    values, is_patient = _values(kind), client == "long-prediction"
    first = ("3.0", values, disturbances.PATIENT) if is_patient else ("1.0", values)
    pods.sync(pods.release(*first))
    # One that answers after 20 s answers nothing in a burst.
    same = {key: more[key] for key in ("client", "size") if key in more}
    capacity = 0.0 if is_patient else _capacity(pods, kind, **same)
    disturb = disturbances.patient_version if is_patient else disturbances.version
    with pods.load(**{"rate": RATE, "seconds": LONG, **more}) as watch:  # type: ignore[arg-type]
        watch.quiet(2 * QUIET)
        disturb(pods, watch, values)
    notes.add(watch, client, kind, capacity=capacity)
    assert watch.counts()["requests"] >= least
    assert kind == STOCK or watch.losses() == {}, watch.why()


@pytest.mark.load
@pytest.mark.parametrize("scenario", ["real-models"], ids="{}-ours".format)
def test_zero_loss_of_the_repositorys_own_models(pods: Pods, notes: Notes, scenario: str) -> None:
    rates = dict.fromkeys(build.build(pods.repository).models, _OWN_RATE)
    every = replace(pods, with_models=True)
    every.sync(every.release(values=_OWN_RESOURCES))
    with every.load(_BESIDE, _OWN_SECONDS, others=rates) as watch:
        watch.quiet(2 * QUIET)
        disturbances.version(every, watch, _OWN_RESOURCES)
    for model in (MODEL, *rates):
        notes.keep(row.of(f"{scenario}-{model}", OURS, watch.of(model)))
    notes.report(row.of(scenario, OURS, watch))
    assert min(watch.of(each).counts()["requests"] for each in rates) >= _OWN_REQUESTS
    assert watch.losses() == {}, watch.why()
