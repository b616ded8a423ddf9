"""The real Prometheus scrapes the real server as the PodMonitor says, and the alerts fire.

Those of GPUs, Flux and certificates are tried by promtool alone: no exporter of theirs runs here.
"""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from tests.launcher.conftest import Launcher, Site, pack, starting
from tests.monitoring.test_alerts import ROOT, rule_groups
from tests.support.processes import eventually, free_ports

MONITORS = ROOT / "infra/monitoring/configs/podmonitor.yaml"
MOST = 80  # series of a server with one model; docs/monitoring.md says about 75


class Prometheus:
    """A Prometheus with the shipped rules, without their waiting times, and one target."""

    def __init__(self, program: Path, folder: Path, target: int) -> None:
        (self.port,) = free_ports(1)
        without_for = [
            {**group, "rules": [_at_once(rule) for rule in items(group, "rules")]}
            for group in rule_groups()
        ]
        (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": without_for}))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [_scraping(target)],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        address = f"--web.listen-address=127.0.0.1:{self.port}"
        argv: list[str | Path] = [program, "--config.file=prometheus.yaml"]
        argv += ["--storage.tsdb.path=tsdb", address]
        with (folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)

    def query(self, expression: str) -> list[object]:
        """The result of an instant query."""
        return items(self._get(f"query?query={urllib.parse.quote(expression)}"), "data", "result")

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        alerts = items(self._get("alerts"), "data", "alerts")
        return {text(each, "labels", "alertname") for each in alerts}

    def _get(self, path: str) -> Value:
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return mapping(json.load(response))
        except OSError:
            return {}


def panel_queries() -> Iterator[tuple[str, str]]:
    """Each query of the dashboard of the servers, with its panel, for every group."""
    dashboard = json.loads((MONITORS.parent / "dashboards/serving.json").read_text())
    for panel in items(dashboard, "panels"):
        for target in items(panel, "targets"):
            yield text(panel, "title"), text(target, "expr").replace("$group", ".*")


def _at_once(rule: object) -> Value:
    return {key: each for key, each in mapping(rule).items() if key != "for"}


def _scraping(port: int) -> Value:
    """The servers' PodMonitor for one address: what the operator makes of its endpoint."""
    monitor = next(
        each
        for each in yaml.safe_load_all(MONITORS.read_text())
        if text(each, "metadata", "name") == "torchserve"
    )
    endpoint = mapping(dig(monitor, "spec", "podMetricsEndpoints", 0))
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {
        "job_name": "monitoring/torchserve",
        "metrics_path": text(endpoint, "path"),
        "static_configs": [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"pod": "a", "group": "torchserve"}}
        ],
        "metric_relabel_configs": [
            {names.get(key, key): value for key, value in mapping(each).items()}
            for each in items(endpoint, "metricRelabelings")
        ],
    }


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    pack("gated", "gated_handler.py", tmp_path)
    with starting() as start:
        launcher = start(Site(tmp_path / "site", tmp_path / "gated.mar"))
        eventually(launcher.is_ready)
        yield launcher


@pytest.fixture
def prometheus(checkout: Repository, launcher: Launcher, tmp_path: Path) -> Iterator[Prometheus]:
    program = tools.find(checkout, "prometheus")
    prometheus = Prometheus(program, tmp_path, launcher.port)
    try:
        eventually(lambda: prometheus.query("launcher_torchserve_up"))
        yield prometheus
    finally:
        prometheus.process.terminate()
        prometheus.process.wait(30)


def test_alerts_see_the_real_server(launcher: Launcher, prometheus: Prometheus) -> None:
    eventually(lambda: not prometheus.firing())  # it fires until the first scrape
    assert launcher.predict() == 200
    eventually(lambda: prometheus.query("launcher_responses_total"))
    for rule in [rule for group in rule_groups() for rule in items(group, "rules")]:
        for metric in re.findall(r"launcher_\w+", text(rule, "expr")):
            assert prometheus.query(metric), f"{text(rule, 'alert')}: {metric}"
    for title, query in panel_queries():
        assert eventually(partial(prometheus.query, query)), title
    # Every series of the server, as the page counts them.
    assert len(prometheus.query('{pod="a"}')) <= MOST

    for _ in range(15):
        assert launcher.predict(b"bad") == 507
    eventually(lambda: "TorchServeRequestsFail" in prometheus.firing())

    launcher.site.hold("hold-load")  # the worker that crashes does not come back
    assert launcher.predict(b"crash") == 500
    missing = {"TorchServeNoWorker", "TorchServeWorkerMissing"}
    eventually(lambda: missing <= prometheus.firing())
    launcher.site.release("hold-load")
    eventually(lambda: not missing & prometheus.firing())

    launcher.end()
    eventually(lambda: "TorchServeNotScraped" in prometheus.firing())
