"""The unchanged chart in real containers, under open-loop load through the real gateway.

Real: kubelet, containerd, runc, CNI, kube-proxy, enforced network policies, Envoy Gateway and
Envoy, Flux, the chart, the serving image. Played: the load balancer before the proxies, and tokens.

A row is one scenario: ``ours`` with the chart as it is, ``stock`` with what TorchServe's own image
does. Its figures go into build/e2e-load/rows, and a page shows all rows that there are. One row:

    make e2e-load ONLY=drain-ours
"""

from collections.abc import Callable

import pytest

from harness.core import files
from tests.e2e.timeline import Timeline
from tests.real import disturbances, page, row
from tests.real.disturbances import QUIET, Disturb, Values
from tests.real.pods import Pods
from tests.real.row import OURS, STOCK
from tests.real.stock import VALUES
from tests.real.watch import Watch

# The first one also starts the cluster.
pytestmark = pytest.mark.timeout(1200)

RATE = 60.0  # requests a second
LONG = 175.0  # seconds of a long scenario
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
    "launcher": disturbances.kill("-m launcher"),  # stock has none
}
# What else a client does, and how many requests it sends at least.
CLIENTS: dict[str, tuple[dict[str, object], int]] = {
    "http2": ({"client": "http2"}, MANY),
    "grpc": ({"client": "grpc"}, MANY),
    # A body that takes ten seconds, larger than what Envoy buffers by default.
    "slow-upload": ({"upload": 10.0, "size": 100_000, "rate": 10.0, "patience": 60.0}, 1_500),
    # Up to two batches of 20 s, and none of them is cut by the stop of its pod.
    "long-prediction": ({"rate": 0.5, "patience": 120.0}, 80),
}

Note = Callable[[Watch, str, str], None]


def _rows(scenarios: dict[str, Disturb], *stock: str) -> list[object]:
    return [
        pytest.param(name, kind, id=f"{name}-{kind}")
        for name in scenarios
        for kind in (OURS, STOCK)
        if kind == OURS or name in stock
    ]


def _values(kind: str) -> Values:
    return VALUES if kind == STOCK else {}


@pytest.fixture
def note(pytestconfig: pytest.Config, timeline: Timeline) -> Note:
    """Keeps what was measured: the report's figures, the row, the page of all rows."""

    def keep(watch: Watch, scenario: str, kind: str) -> None:
        folder = pytestconfig.rootpath / row.FOLDER
        measured = row.of(scenario, kind, watch)
        row.write(folder, measured)
        rows = row.read(folder)
        files.write(folder.with_name("real-pods.html"), page.render(rows))
        files.write(folder.with_name("real-pods.md"), row.table(rows) + "\n")
        timeline.load |= measured.counts
        for what, (began, ended) in measured.marks.items():
            timeline.figures[f"{what}, s"] = round(ended - began, 1)
        timeline.figures["p99 quiet, ms"] = measured.quiet
        timeline.figures["p99 during, ms"] = measured.disturbed
        if measured.why:
            timeline.figures["why"] = measured.why

    return keep


def test_rolling_update_loses_nothing(pods: Pods, timeline: Timeline, note: Note) -> None:
    pods.sync(pods.release("1.0"))
    with pods.load(RATE, 3 * QUIET) as watch:
        watch.quiet(QUIET)
        with watch.during("a new version of the model"):
            pods.sync(pods.release("2.0"))
        watch.quiet(QUIET)
    note(watch, "short-roll", OURS)
    assert watch.counts()["requests"] >= RATE * 2 * QUIET
    assert watch.losses() == {}, watch.why()


@pytest.mark.load
@pytest.mark.parametrize(("scenario", "kind"), _rows(ZERO_LOSS, *_BOTH_WAYS))
def test_zero_loss(pods: Pods, note: Note, scenario: str, kind: str) -> None:
    values = _values(kind)
    pods.sync(pods.release(values=values))
    with pods.load(RATE, LONG) as watch:
        watch.quiet(2 * QUIET)
        ZERO_LOSS[scenario](pods, watch, values)
    note(watch, scenario, kind)
    assert watch.counts()["requests"] >= MANY
    # What the stock way loses is for the table.
    assert kind == STOCK or watch.losses() == {}, watch.why()


@pytest.mark.load
@pytest.mark.parametrize(("scenario", "kind"), _rows(BOUNDED, *[*BOUNDED][:-1]))
def test_death_costs_no_more_than_it_held(pods: Pods, note: Note, scenario: str, kind: str) -> None:
    values = _values(kind)
    pods.sync(pods.release(values=values))
    with pods.load(RATE, 6 * QUIET) as watch:
        watch.quiet(2 * QUIET)
        BOUNDED[scenario](pods, watch, values)
    note(watch, scenario, kind)
    assert watch.counts()["wrong"] == 0
    assert kind == STOCK or sum(watch.losses().values()) <= _MOST, watch.why()


@pytest.mark.load
@pytest.mark.parametrize(
    ("client", "kind"),
    [pytest.param(each, kind, id=f"{each}-{kind}") for each in CLIENTS for kind in (OURS, STOCK)],
)
def test_zero_loss_of_other_clients(pods: Pods, note: Note, client: str, kind: str) -> None:
    more, least = CLIENTS[client]
    values, is_patient = _values(kind), client == "long-prediction"
    first = ("3.0", values, disturbances.PATIENT) if is_patient else ("1.0", values)
    pods.sync(pods.release(*first))
    disturb = disturbances.patient_version if is_patient else disturbances.version
    with pods.load(**{"rate": RATE, "seconds": LONG, **more}) as watch:  # type: ignore[arg-type]
        watch.quiet(2 * QUIET)
        disturb(pods, watch, values)
    note(watch, client, kind)
    assert watch.counts()["requests"] >= least
    assert kind == STOCK or watch.losses() == {}, watch.why()
