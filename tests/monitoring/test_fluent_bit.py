"""infra/fluent-bit changes the agent and nothing else. No registry here has the program: what is
tested is what the API server would get, and the alerts. test_log_agents.py runs its script."""

import re
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Value, items, mapping, text
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from tests.monitoring.test_alerts import ROOT, outcomes
from tests.monitoring.test_log_alerts import ALERTS
from tests.support import variation

TESTS = Path(__file__).with_name("fluent-bit.yaml")
AGENT = ROOT / "infra/fluent-bit/agent"
HASH = re.compile(r"-[0-9a-z]{10}$")


def environment_with(name: str, folder: Path) -> Environment:
    """Staging as it is with a valid variation."""
    repository = variation.load(variation.TESTDATA / "valid" / name).lay_out(folder)
    return Renderer(repository).candidate("staging")


@pytest.fixture(scope="module")
def fluent_bit(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return environment_with("fluent-bit", tmp_path_factory.mktemp("fluent-bit"))


def objects(environment: Environment) -> dict[str, Value]:
    """By kind and name, names without the hash of what they hold."""
    return {
        f"{each.kind}/{HASH.sub('', each.name)}": mapping(each.value)
        for each in environment.objects
        if each.kind not in {"ConfigMap", "Kustomization"} or each.name.startswith("agent-")
    }


def pod(environment: Environment) -> Value:
    agent = environment.find("DaemonSet", "agent")
    assert agent
    return mapping(agent.value, "spec", "template", "spec")


def files(environment: Environment) -> Value:
    """What the agents' ConfigMap holds."""
    (config_map,) = (each for each in environment.of("ConfigMap") if each.name.startswith("agent-"))
    return mapping(config_map.value, "data")


def rules(environment: Environment) -> list[Value]:
    alerts = environment.find("PrometheusRule", "logging")
    assert alerts
    return [mapping(each) for each in items(alerts.value, "spec", "groups", 0, "rules")]


def test_it_changes_the_agent_and_how_it_is_watched(
    fluent_bit: Environment, tmp_path: Path
) -> None:
    before, after = objects(environment_with("opensearch", tmp_path)), objects(fluent_bit)
    assert after.keys() - before.keys() == {"PodMonitor/fluent-bit"}
    assert before.keys() <= after.keys()
    assert {name for name in before if before[name] != after[name]} == {
        "ConfigMap/agent",
        "DaemonSet/agent",
        "PodMonitor/logging",
        "PrometheusRule/logging",
    }


def test_each_agent_is_scraped_once_and_where_its_program_answers(fluent_bit: Environment) -> None:
    paths = {
        text(each.value, "spec", "podMetricsEndpoints", 0, "path"): str(each.value["spec"])
        for each in fluent_bit.of("PodMonitor")
        if each.name in {"logging", "fluent-bit"}
    }
    agents = {path for path, spec in paths.items() if "'agent'" in spec}
    assert agents == {"/api/v2/metrics/prometheus"}
    (port,) = items(pod(fluent_bit), "containers", 0, "ports")
    configuration = yaml.safe_load(text(files(fluent_bit), "agent.yaml"))
    assert mapping(port)["containerPort"] == mapping(configuration, "service")["http_port"]


def test_what_it_reads_and_keeps_is_mounted(fluent_bit: Environment) -> None:
    configuration = yaml.safe_load(text(files(fluent_bit), "agent.yaml"))
    container = mapping(pod(fluent_bit), "containers", 0)
    mounts = {text(each, "mountPath"): each for each in items(container, "volumeMounts")}
    inputs = [mapping(each) for each in items(configuration, "pipeline", "inputs")]
    places = [each["db"] for each in inputs] + [configuration["service"]["storage.path"]]
    assert len(set(places)) == 3
    assert (
        {str(Path(str(each)).parent) for each in places} == {"/var/lib/fluent-bit"} <= set(mounts)
    )
    scripts = {Path(str(each["script"])) for each in filters(configuration) if "script" in each}
    assert {path.name for path in scripts} <= set(files(fluent_bit))
    assert {str(path.parent) for path in scripts} == {"/etc/fluent-bit"} <= set(mounts)
    read = {each for one in inputs for each in str(one["path"]).split(",")}
    assert all(each.startswith("/var/log/pods/") for each in read)
    assert mapping(mounts["/var/log/pods"])["readOnly"] is True


def filters(configuration: object) -> list[Value]:
    return [mapping(each) for each in items(configuration, "pipeline", "filters")]


def test_every_file_is_read_by_one_input(fluent_bit: Environment) -> None:
    configuration = yaml.safe_load(text(files(fluent_bit), "agent.yaml"))
    as_json, as_text = (mapping(each) for each in items(configuration, "pipeline", "inputs"))
    left_out = {each.removesuffix(".log") for each in text(as_json, "path").split(",")}
    excluded = set(text(as_text, "exclude_path").split(","))
    assert excluded - left_out == {"/var/log/pods/logging*_*/*/*"}
    assert left_out <= excluded
    alike = {*as_json} - {"alias", "tag", "path", "db"}
    assert {key: as_json[key] for key in alike} == {key: as_text[key] for key in alike}


def test_functions_that_filters_call_are_in_the_script(fluent_bit: Environment) -> None:
    configuration = yaml.safe_load(text(files(fluent_bit), "agent.yaml"))
    script = text(files(fluent_bit), "agent.lua")
    calls = [text(each, "call") for each in filters(configuration) if "call" in each]
    assert calls == re.findall(r"^function (\w+)\(", script, re.MULTILINE)


def test_promtool_sees_each_alert_as_its_tests_say(
    fluent_bit: Environment, checkout: Repository, tmp_path: Path
) -> None:
    promtool = tools.at_hand(checkout, "promtool")
    if promtool is None:
        pytest.skip("promtool is not built: harness tools promtool")
    groups = [{"name": "logging", "rules": [dict(each) for each in rules(fluent_bit)]}]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    (tmp_path / "tests.yaml").write_text(TESTS.read_text())
    run = command.run([promtool, "test", "rules", "tests.yaml"], cwd=tmp_path, timeout=60)
    assert "SUCCESS" in run.stdout


def test_an_alert_that_asks_another_figure_is_seen_silent_firing_and_resolved(
    fluent_bit: Environment,
) -> None:
    pairs = list(zip(ALERTS, rules(fluent_bit), strict=True))
    changed = [text(now, "alert") for was, now in pairs if was["expr"] != now["expr"]]
    assert [text(was, "alert") for was, _ in pairs] == [text(now, "alert") for _, now in pairs]
    assert changed == ["LogLinesLost", "LogQueueFills", "LogQueueFull"]
    for alert in changed:
        expectations = outcomes(TESTS, alert)
        assert expectations[0] is False
        assert True in expectations
        assert expectations[-1] is False


def test_no_alert_asks_a_figure_of_the_agent_that_went(fluent_bit: Environment) -> None:
    expressions = [text(each, "expr") for each in rules(fluent_bit)]
    assert not [each for each in expressions if "otelcol_exporter_" in each]
