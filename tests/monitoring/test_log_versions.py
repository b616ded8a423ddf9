"""What tests of logs run is what the components install, or the difference is named."""

import re
from pathlib import Path

import yaml

from harness import tools
from harness.core.repository import Repository
from harness.core.values import Value, mapping, text
from harness.jars import lock
from tests.monitoring.test_alerts import ROOT
from tests.support import elasticsearch, opensearch

LOGGING = ROOT / "infra/logging"
OPENSEARCH = ROOT / "infra/opensearch"
DIFFERENCES = (ROOT / "docs/decisions/0030-logs.md").read_text()
"""Has tables of the keys that a tested gateway reads otherwise than the installed one."""


def image_tags(name: str, component: Path = LOGGING) -> set[str]:
    """Of an image, wherever a file of the component names it."""
    content = "".join(path.read_text() for path in component.rglob("*.yaml"))
    return set(re.findall(rf"{name}:([\d.]+)@", content))


def of_module(repository: Repository, tool: str, module: str) -> str:
    """The version of a module in a tool's go.mod."""
    folder = repository.root / "tools" / "logging" / tool.removeprefix("otel-")
    match = re.search(rf"{module} v(\S+)", (folder / "go.mod").read_text())
    assert match
    return match[1]


def test_agent_and_gateway_are_installed_in_one_version(checkout: Repository) -> None:
    (installed,) = image_tags("opentelemetry-collector-contrib")
    assert installed == of_module(checkout, "otel-agent", "receiver/filelogreceiver")
    gateway = tools.version(checkout, "otel-gateway")
    assert gateway != installed, "if it is the same, drop the table and the test's replacement"
    assert f"| key | {gateway}, tested | {installed}, installed |" in DIFFERENCES


def test_elasticsearch_is_installed_as_it_is_tested() -> None:
    (tested,) = {
        jar.version for jar in lock.read(elasticsearch.LOCK) if jar.artifact == "elasticsearch"
    }
    assert image_tags("elasticsearch") == {tested}
    assert image_tags("kibana") == {tested}
    versions = {text(load(f"stack/{name}.yaml"), "spec", "version") for name in KINDS}
    assert versions == {tested}


def test_opensearch_is_installed_as_it_is_tested(checkout: Repository) -> None:
    jars = lock.read(opensearch.LOCK)
    (tested,) = {jar.version for jar in jars if jar.group.startswith("org.opensearch")}
    assert image_tags("opensearch", OPENSEARCH) == {tested}
    assert image_tags("opensearch-dashboards", OPENSEARCH) == {tested}
    (installed,) = image_tags("opentelemetry-collector-contrib")
    exporter = of_module(checkout, "otel-opensearch-gateway", "exporter/opensearchexporter")
    core = tools.version(checkout, "otel-opensearch-gateway")
    row = f"| key | {exporter} in a core of {core}, tested | {installed}, installed |"
    assert row in DIFFERENCES


KINDS = ("elasticsearch", "kibana")


def test_kinds_are_checked_by_the_schemas_of_the_operator_that_is_installed() -> None:
    pins = yaml.safe_load((ROOT / "tools/schemas/modules.yaml").read_text())["modules"]
    (pin,) = (mapping(each) for each in pins if "cloud-on-k8s" in each["module"])
    documents = yaml.safe_load_all((LOGGING / "operator/eck-operator.yaml").read_text())
    (chart,) = (text(each, "spec", "chart", "spec", "version") for each in documents if _is(each))
    assert text(pin, "version") == f"v{chart}"


def load(path: str) -> Value:
    return mapping(yaml.safe_load(Path(LOGGING, path).read_text()))


def _is(document: object) -> bool:
    return text(document, "kind") == "HelmRelease"
