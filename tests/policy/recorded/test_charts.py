"""What is recorded of third-party charts, and what it says about values."""

import json
from pathlib import Path

import pytest

from harness.core.repository import Repository
from harness.policy.recorded import record_charts
from harness.policy.recorded.charts import FOLDER, chart_and_version, load, misfits
from harness.render import remote_charts
from harness.render.renderer import Renderer
from tests.support import published_chart, variation
from tests.support.miniature import Miniature

_VALUES = """\
replicas: 1
image: {repository: a, tag: ""}
labels: {}
resources: {requests: {cpu: 10m}, limits: {}}
extra: null
ports: [{name: http}]
enabled: true
"""
_TEMPLATE = """\
{{- if .Values.monitor.enabled }}
interval: {{ .Values.monitor.interval }}
{{- end }}
image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
resources: {{ toYaml .Values.resources | nindent 2 }}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text(
        "name: web\nversion: 1.2.3\ndependencies: [{name: sub, alias: below}]\n"
    )
    (tmp_path / "values.yaml").write_text(_VALUES)
    (tmp_path / "templates" / "all.yaml").write_text(_TEMPLATE)
    return tmp_path


def _record(chart: Path) -> dict[str, object]:
    pods = [{"name": "web", "replicas": "replicas", "resources": "resources"}]
    return record_charts.record(chart, "https://example.org", "", {"pods": pods})


def test_keys_are_those_of_values_templates_and_dependencies(chart: Path) -> None:
    assert _record(chart)["keys"] == {
        "replicas": "number",
        "image": {"repository": "text", "tag": "text"},
        "labels": "map",
        "resources": "map",  # it goes into the pod as it is
        "extra": "any",
        "ports": "list",
        "enabled": "boolean",
        "monitor": {"enabled": "any", "interval": "any"},
        "below": "map",
        "global": "map",
    }


def test_what_decides_about_pods_is_kept(chart: Path) -> None:
    assert _record(chart)["defaults"] == {
        "replicas": 1,
        "resources": {"requests": {"cpu": "10m"}, "limits": {}},
    }


def test_images_are_recorded_with_the_tags_of_values(chart: Path) -> None:
    values = "image: {registry: r.io, repository: a/b, tag: v1}\nside: {repository: c, tag: ''}\n"
    (chart / "values.yaml").write_text(values)
    assert _record(chart)["images"] == {"r.io/a/b": "v1", "c": ""}


def test_a_schema_adds_what_values_do_not_show(chart: Path) -> None:
    schema = {
        "properties": {"affinity": {"type": "object"}, "image": {"$ref": "#/$defs/image"}},
        "$defs": {"image": {"properties": {"digest": {"type": "string"}}}},
    }
    (chart / "values.schema.json").write_text(json.dumps(schema))
    keys = _record(chart)["keys"]
    assert isinstance(keys, dict)
    assert keys["affinity"] == "map"
    assert keys["image"] == {"repository": "text", "tag": "text", "digest": "text"}


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"replica": 2}, [(("replica",), "did you mean replicas?")]),
        ({"image": {"tga": "1"}}, [(("image", "tga"), "did you mean tag?")]),
        ({"image": "web:1"}, [(("image",), "map of keys")]),
        ({"ports": {"name": "http"}}, [(("ports",), "list")]),
        ({"enabled": "false"}, [(("enabled",), "true or false")]),
        ({"resources": {"limit": {}}}, [(("resources", "limit"), "did you mean limits?")]),
        ({"replicas": [2]}, [(("replicas",), "has to be a number")]),
        ({"labels": {"any": "thing"}, "extra": [1], "below": {"x": 1}, "replicas": None}, []),
        ({"replicas": "2", "image": {"tag": 1}, "monitor": {"enabled": "yes"}}, []),
    ],
)
def test_misfits(chart: Path, values: dict[str, object], wrong: list[tuple[object, str]]) -> None:
    keys = _record(chart)["keys"]
    assert isinstance(keys, dict)
    reported = list(misfits(keys, values))
    assert [path for path, _ in reported] == [path for path, _ in wrong]
    assert all(part in why for (_, why), (_, part) in zip(reported, wrong, strict=True))


def test_every_record_is_of_the_chart_that_is_installed(
    checkout: Repository, tmp_path: Path
) -> None:
    """Of flux-operator no newer chart could be read: exceptions.yaml says so. With the components
    that no environment lists.
    """
    charts: dict[str, str] = {}
    for name in ("canary", "karpenter", "keda", "logged"):
        repository = variation.load(variation.TESTDATA / "valid" / name).lay_out(tmp_path / name)
        environment = Renderer(repository).candidate("staging")
        charts |= dict(
            chart_and_version(environment, release) for release in environment.of("HelmRelease")
        )
    charts.pop("", None)
    recorded = {path.stem for path in (checkout.root / FOLDER).glob("*.json")}
    assert set(charts) == recorded
    for name, version in charts.items():
        record = load(checkout, name)
        assert record
        assert record.is_of(version) or name == "flux-operator", f"{name}: make chart-records"
        # What is said of its pods are values that it takes.
        for each in record.pods:
            for path in filter(None, (each.replicas, each.resources, each.budget)):
                values: dict[str, object] = {}
                below = values
                for key in path[:-1]:
                    below[str(key)] = {}
                    below = below[str(key)]  # type: ignore[assignment]
                below[str(path[-1])] = None
                assert list(misfits(record.keys, values)) == []


def test_an_archive_with_another_digest_is_refused(miniature: Miniature) -> None:
    with published_chart.repository(miniature) as url:
        published_chart.publish(miniature, url)
        (chart,) = miniature.render().remote_charts
        why = remote_charts.fetch(miniature.repository, chart, "sha256:" + "0" * 64)
        assert why
        assert "not the recorded" in why
        assert chart.copy(miniature.repository) is None
        assert remote_charts.fetch(miniature.repository, chart) is None
