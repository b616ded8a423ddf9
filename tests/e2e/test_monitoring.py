"""The real Prometheus scrapes the real server as the operator makes it, and the alerts fire.

Those of GPUs, Flux and certificates are tried by promtool alone: no exporter of theirs runs here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import dig, items, text
from harness.kubernetes import kinds
from harness.local_cluster.local import LocalCluster
from tests.launcher.conftest import Launcher, Site, pack, starting
from tests.monitoring.test_alerts import rule_groups
from tests.support import monitoring, prometheus, scaling
from tests.support.processes import eventually
from tests.support.prometheus import Prometheus

MOST = 90  # series of a server with one model; docs/monitoring.md says about 75 and Prometheus' own


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    pack("gated", "gated_handler.py", tmp_path)
    with starting() as start:
        launcher = start(Site(tmp_path / "site", tmp_path / "gated.mar"))
        eventually(launcher.is_ready)
        yield launcher


@pytest.fixture
def server(
    checkout: Repository,
    launcher: Launcher,
    monitored: tuple[LocalCluster, monitoring.Output],
    tmp_path: Path,
) -> Iterator[Prometheus]:
    """Prometheus under what the operator made, which finds the launcher as a pod's."""
    cluster, output = monitored
    pod = monitoring.pod(monitoring.production(checkout), "a", launcher.port)
    monitoring.run(cluster.api, pod)
    with prometheus.running(checkout, tmp_path, output.here(), output.at_once()) as server:
        eventually(lambda: server.query("launcher_torchserve_up"))
        yield server
    cluster.api.delete(kinds.POD, "a", text(pod, "metadata", "namespace"), seconds=0)


def test_operator_takes_all_that_ships(
    checkout: Repository, monitored: tuple[LocalCluster, monitoring.Output], tmp_path: Path
) -> None:
    environment = monitoring.production(checkout)
    _, output = monitored
    jobs = {text(each, "job_name") for each in items(output.scraping, "scrape_configs")}
    assert jobs == {
        f"podMonitor/{each.namespace}/{each.name}/0" for each in environment.of("PodMonitor")
    }
    groups = [each for rules in output.rules.values() for each in items(rules, "groups")]
    assert {text(each, "name") for each in groups} == {
        text(group, "name")
        for each in environment.of("PrometheusRule")
        for group in items(each.value, "spec", "groups")
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(output.here()))
    check = [tools.find(checkout, "promtool"), "check", "config", "prometheus.yaml"]
    command.run(check, cwd=tmp_path, timeout=60)


def test_alerts_see_the_real_server(launcher: Launcher, server: Prometheus) -> None:
    # It fires until the first scrape; gateway, GPUs and Flux are not there at all.
    eventually(lambda: server.firing() == {"NotScraped"})
    assert launcher.predict() == 200
    eventually(lambda: server.query("launcher_responses_total"))
    for rule in [rule for group in rule_groups() for rule in items(group, "rules")]:
        for metric in re.findall(r"launcher_\w+", text(rule, "expr")):
            assert server.query(metric), f"{text(rule, 'alert')}: {metric}"
    # Every series of the server, as the page counts them.
    assert len(server.query('{pod="a"}')) <= MOST

    for _ in range(15):
        assert launcher.predict(b"bad") == 507
    eventually(lambda: "TorchServeRequestsFail" in server.firing())

    launcher.site.hold("hold-load")  # the worker that crashes does not come back
    assert launcher.predict(b"crash") == 500
    missing = {"TorchServeNoWorker", "TorchServeWorkerMissing"}
    eventually(lambda: missing <= server.firing())
    launcher.site.release("hold-load")
    eventually(lambda: not missing & server.firing())

    launcher.end()
    eventually(lambda: "TorchServeNotScraped" in server.firing())


def test_what_keda_asks_follows_the_load_and_is_empty_without_figures(
    checkout: Repository, launcher: Launcher, server: Prometheus
) -> None:
    triggers = scaling.queries(checkout, "torchserve")

    def answer(name: str) -> float | None:
        """As KEDA reads it: one element, or none."""
        result = server.query(triggers[name])
        assert len(result) <= 1, "KEDA refuses several"
        return float(str(dig(result[0], "value", 1))) if result else None

    def answers() -> dict[str, float | None]:
        return {name: answer(name) for name in triggers}

    # Without requests it is 0, and no NaN, which KEDA takes for a failure.
    eventually(lambda: answers() == {"in-flight": 0, "queue-time": 0, "requests": 0})

    launcher.site.hold("hold-answers")
    calls = launcher.predict_together(12)
    eventually(lambda: (answer("in-flight") or 0) > 0.5)
    launcher.site.release("hold-answers")
    assert [each.result() for each in calls] == [200] * 12
    eventually(lambda: (answer("requests") or 0) > 0)
    eventually(lambda: 0 < (answer("queue-time") or 0) <= 1)  # twice the limit, and no more

    launcher.end()
    eventually(lambda: answers() == dict.fromkeys(triggers), patience=120)
