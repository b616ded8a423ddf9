"""Alerts fire, stay silent and resolve as Prometheus itself evaluates them, and people are told.

Prometheus and Alertmanager are real, and so is what the operator wrote for them; the samples are
those of the unit tests: no GPU, Flux operator or cert-manager reports here (simulated).
"""

import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.kubernetes import kinds
from harness.kubernetes.api import Kind
from harness.local_cluster.local import LocalCluster
from tests.monitoring.test_alerts import ALERTS, ROOT, TESTS, rule_groups
from tests.monitoring.test_log_alerts import ALERTS as LOG_ALERTS
from tests.monitoring.test_log_alerts import TESTS as LOG_TESTS
from tests.monitoring.test_log_alerts import groups as log_rule_groups
from tests.monitoring.test_slo_alerts import ALERTS as SLO_ALERTS
from tests.monitoring.test_slo_alerts import SLO_TESTS, slo_rule_groups
from tests.support import alertmanager, monitoring, prometheus, unit_tests
from tests.support.alertmanager import Alertmanager, Receiver
from tests.support.processes import eventually
from tests.support.unit_tests import Firing

_CONFIG = Kind("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig")
RECEIVER = "torchserve/people/"  # as the operator calls those of our AlertmanagerConfig
BATCHES = unit_tests.batches(
    each for tests in TESTS for each in unit_tests.firings(yaml.safe_load(tests.read_text()))
)
SLO_BATCHES = unit_tests.batches(unit_tests.firings(yaml.safe_load(SLO_TESTS.read_text())))
SLO_RULES = {"slos.yaml": {"groups": monitoring.without_for({"groups": slo_rule_groups()})}}
# No environment lists the component: its rules are those of its file, not the operator's.
LOG_BATCHES = unit_tests.batches(unit_tests.firings(yaml.safe_load(LOG_TESTS.read_text())))
LOG_RULES = {"logging.yaml": {"groups": monitoring.without_for({"groups": log_rule_groups()})}}


EVERY_BATCH = (*BATCHES, *SLO_BATCHES, *LOG_BATCHES)


@pytest.mark.parametrize(
    ("tests", "name", "groups"),
    [
        *((tests, "rules.yaml", rule_groups()) for tests in TESTS),
        (SLO_TESTS, "slos.yaml", slo_rule_groups()),
        (LOG_TESTS, "rules.yaml", log_rule_groups()),
    ],
    ids=[*(tests.stem for tests in TESTS), "slos", "logging"],
)
def test_every_alert_fires_stays_silent_and_resolves(
    checkout: Repository, tmp_path: Path, tests: Path, name: str, groups: list[Value]
) -> None:
    (tmp_path / name).write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "tests.yaml").write_text(tests.read_text())
    promtool = tools.find(checkout, "promtool")
    for argv in (["check", "rules", name], ["test", "rules", "tests.yaml"]):
        completed = subprocess.run(
            [promtool, *argv], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert completed.returncode == 0, completed.stdout + completed.stderr


@pytest.fixture
def people() -> Iterator[Receiver]:
    with alertmanager.receiver() as people:
        yield people


@pytest.fixture
def alerting(
    checkout: Repository,
    monitored: tuple[LocalCluster, monitoring.Output],
    people: Receiver,
    tmp_path: Path,
) -> Iterator[Alertmanager]:
    """Alertmanager under what the operator made of the chart's routes and ours."""
    with alertmanager.running(checkout, tmp_path, monitored[1].alerting, people.port) as server:
        yield server


def test_every_alert_is_in_a_batch() -> None:
    batches = [each.alert for batch in EVERY_BATCH for each in batch]
    of_logs = {text(each, "alert") for each in LOG_ALERTS}
    assert set(batches) == {*ALERTS, *SLO_ALERTS, *of_logs}


@pytest.mark.parametrize(
    ("batch", "rules"),
    [
        *((each, {}) for each in BATCHES),
        *((each, SLO_RULES) for each in SLO_BATCHES),
        *((each, LOG_RULES) for each in LOG_BATCHES),
    ],
    ids=lambda value: value[0].alert if isinstance(value, list) else next(iter(value), "shipped"),
)
def test_people_are_told_of_every_alert_and_of_its_end(
    batch: list[Firing],
    rules: dict[str, Value],
    checkout: Repository,
    monitored: tuple[LocalCluster, monitoring.Output],
    alerting: Alertmanager,
    people: Receiver,
    tmp_path: Path,
) -> None:
    output = monitored[1]
    unit_tests.fill(tools.find(checkout, "promtool"), tmp_path / "tsdb", batch)
    configuration = {**output.here(alerting.address), "scrape_configs": []}
    rules = rules or output.at_once()
    with prometheus.running(checkout, tmp_path, configuration, rules) as server:
        for each in batch:
            alert = eventually(partial(_told, people, each, "firing"))
            assert text(alert, "annotations", "summary")
            assert "#" in text(alert, "annotations", "runbook_url")
        server.delete_series(but=unit_tests.SERVERS)
        for each in batch:
            assert eventually(partial(_told, people, each, "resolved"))


def _told(people: Receiver, firing: Firing, status: str) -> Value:
    """What the receiver of the alert's severity was told of it."""
    for alert in people.alerts(text(firing.labels, "severity"), status):
        labels = {"alertname": firing.alert, **firing.labels}
        if labels.items() <= dict(alert["labels"]).items():  # type: ignore[call-overload]
            return alert
    return {}


def test_message_is_one_for_a_group_of_servers(alerting: Alertmanager, people: Receiver) -> None:
    alert = {"alertname": "TorchServeQueueFills", "severity": "ticket", "group": "a"}
    alerting.post({**alert, "model_name": "cat"}, {**alert, "model_name": "dog"})
    alerting.post({**alert, "group": "b", "model_name": "cat"})
    eventually(lambda: len(people.messages("ticket")) > 1)
    counts = {
        text(message, "groupLabels", "group"): len(items(message, "alerts"))
        for message in people.messages("ticket")
    }
    assert counts == {"a": 2, "b": 1}
    assert not people.messages("page")


def test_symptoms_are_not_told_beside_their_cause(alerting: Alertmanager, people: Receiver) -> None:
    of_model = {"group": "a", "model_name": "cat"}
    alerting.post(
        {"alertname": "TorchServeNoWorker", "severity": "page", **of_model},
        {"alertname": "TorchServeNotScraped", "severity": "page", "pod": "b"},
    )
    eventually(lambda: len(people.alerts("page", "firing")) > 1)
    alerting.post(
        {"alertname": "TorchServeWorkersCrash", "severity": "ticket", **of_model},
        {"alertname": "TorchServeLogFallsBehind", "severity": "ticket", "pod": "b"},
        {"alertname": "TorchServeQueueFills", "severity": "ticket", "group": "a"},
    )
    eventually(lambda: people.alerts("ticket", "firing"))
    names = {text(each, "labels", "alertname") for each in people.alerts("ticket", "firing")}
    assert names == {"TorchServeQueueFills"}
    for symptom in ("TorchServeWorkersCrash", "TorchServeLogFallsBehind"):
        assert eventually(partial(_inhibitors, alerting, symptom))


def _inhibitors(alerting: Alertmanager, name: str) -> list[object]:
    return items(alerting.status(name), "inhibitedBy")


def test_silence_keeps_an_alert_from_people(
    checkout: Repository, alerting: Alertmanager, people: Receiver
) -> None:
    amtool = tools.find(checkout, "amtool")
    where = f"--alertmanager.url=http://{alerting.address}"
    silence = ["silence", "add", "--duration=1h", "--author=me", "--comment=it is being repaired"]
    command.run([amtool, where, *silence, "alertname=GpuError"], timeout=30)
    alerting.post({"alertname": "GpuError", "severity": "page"})
    alerting.post({"alertname": "GpuMemoryFull", "severity": "ticket"})
    eventually(lambda: people.alerts("ticket", "firing"))
    assert eventually(lambda: alerting.status("GpuError")["silencedBy"])
    assert not people.messages("page")


@pytest.mark.parametrize(
    ("severity", "receiver"),
    [
        ("page", f"{RECEIVER}page"),
        ("critical", f"{RECEIVER}page"),
        ("ticket", f"{RECEIVER}ticket"),
        ("warning", f"{RECEIVER}ticket"),
        ("info", "null"),
    ],
    ids=["page", "critical", "ticket", "warning", "info"],
)
def test_severity_decides_who_is_told(
    severity: str,
    receiver: str,
    checkout: Repository,
    monitored: tuple[LocalCluster, monitoring.Output],
    tmp_path: Path,
) -> None:
    (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(monitored[1].alerting))
    amtool = tools.find(checkout, "amtool")
    command.run([amtool, "check-config", "alertmanager.yaml"], cwd=tmp_path, timeout=30)
    routes = ["config", "routes", "test", "--config.file=alertmanager.yaml"]
    answer = command.run([amtool, *routes, f"severity={severity}"], cwd=tmp_path, timeout=30).stdout
    assert receiver in answer.strip().split(",")


def examples() -> list[Value]:
    """The receivers that docs/monitoring.md has for other services than a webhook."""
    page = (ROOT / "docs/monitoring.md").read_text()
    (block,) = re.findall(r"```yaml\n(# PagerDuty.*?)```", page, re.DOTALL)
    return [mapping(each) for each in yaml.safe_load_all(block)]


def _config(name: str, receivers: list[Value]) -> Value:
    """An AlertmanagerConfig beside ours, whose route goes to the first of its receivers."""
    return {
        "apiVersion": _CONFIG.api_version,
        "kind": _CONFIG.name,
        "metadata": {"name": name, "namespace": "torchserve"},
        "spec": {"route": {"receiver": text(receivers[0], "name")}, "receivers": receivers},
    }


def _with_receivers(cluster: LocalCluster, names: set[str]) -> Value:
    """What the operator made, once it has these receivers."""
    alerting = monitoring.output(cluster).alerting
    names_now = {text(each, "name") for each in items(alerting, "receivers")}
    return alerting if names <= names_now else {}


def test_receivers_of_the_page_are_what_operator_and_alertmanager_take(
    checkout: Repository, monitored: tuple[LocalCluster, monitoring.Output], tmp_path: Path
) -> None:
    cluster, _ = monitored
    receivers: list[Value] = [{"name": name, **each} for each in examples() for name in each]
    cluster.api.apply(_config("examples", receivers))
    names = {f"torchserve/examples/{text(each, 'name')}" for each in receivers}
    alerting = eventually(lambda: _with_receivers(cluster, names))
    cluster.api.delete(_CONFIG, "examples", "torchserve")
    (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(alerting))
    amtool = tools.find(checkout, "amtool")
    check: list[str | Path] = [amtool, "check-config", "alertmanager.yaml"]
    assert "SUCCESS" in command.run(check, cwd=tmp_path, timeout=30).stdout


def test_routes_wait_for_the_secret_of_their_receivers_and_keep_no_other_back(
    monitored: tuple[LocalCluster, monitoring.Output],
) -> None:
    cluster, _ = monitored
    where = {"name": "late-receivers", "key": "page"}
    waiting: list[Value] = [{"name": "page", "webhookConfigs": [{"urlSecret": where}]}]
    cluster.api.apply(_config("waiting", waiting))
    cluster.api.apply(_config("sound", [{"name": "nobody"}]))
    alerting = eventually(lambda: _with_receivers(cluster, {"torchserve/sound/nobody"}))
    names = {text(each, "name") for each in items(alerting, "receivers")}
    assert f"{RECEIVER}page" in names
    assert "torchserve/waiting/page" not in names
    secret = {
        **monitoring.RECEIVERS,
        "metadata": {"name": where["name"], "namespace": "torchserve"},
    }
    cluster.api.apply(secret)
    assert eventually(lambda: _with_receivers(cluster, {"torchserve/waiting/page"}))
    for name in ("waiting", "sound"):
        cluster.api.delete(_CONFIG, name, "torchserve")
    cluster.api.delete(kinds.SECRET, where["name"], "torchserve")
