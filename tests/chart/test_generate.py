"""Schema, README and version follow from the documented values."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.chart import generate, schema, values
from harness.core.errors import InputError

_VALUES = """\
# A comment about the file.

# -- How many. As many
# as you like.
# @schema {minimum: 0}
replicas: 1
group:
  # -- Any labels.
  # @schema {additionalProperties: {type: string}}
  labels: {}
  # -- A port.
  # @schema {$ref: '#/$defs/port'}
  port: 8080
"""


@pytest.fixture
def copy(chart: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chart, tmp_path / "chart"))


def _read(tmp_path: Path, text: str) -> tuple[values.Value, ...]:
    path = tmp_path / "values.yaml"
    path.write_text(text)
    return values.read(path)


def test_values_are_read_with_their_comments(tmp_path: Path) -> None:
    read = _read(tmp_path, _VALUES)
    assert [value.name for value in read] == ["replicas", "group.labels", "group.port"]
    assert read[0].text == "How many. As many as you like."
    assert read[0].schema == {"minimum": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# -- One.\na: 1\nb: 2\n", ":3: b is not documented"),
        ("# -- One.\na: 1\ngroup:\n  b: 2\n", ":4: group.b is not documented"),
        ("# not a documentation\na: 1\n", ":2: a is not documented"),
        ("# -- One.\n# @schema 3\na: 1\n", ":3: # @schema takes a mapping"),
        ("- a\n", "values are one YAML mapping"),
        ("# -- One.\na: null\n", ":2: a is null, which says no type"),
    ],
    ids=["undocumented", "in a group", "plain comment", "schema", "list", "null"],
)
def test_what_is_not_documented_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        _read(tmp_path, text)
    assert message in str(refused.value)


def test_the_schema_refuses_unknown_keys_at_every_level(tmp_path: Path) -> None:
    built = json.loads(schema.build(_read(tmp_path, _VALUES)))
    Draft202012Validator.check_schema(built)
    judge = Draft202012Validator(built)
    assert judge.is_valid({"replicas": 3, "group": {"labels": {"a": "b"}, "port": 1}})
    for bad in (
        {"replica": 1},
        {"group": {"prot": 1}},
        {"replicas": -1},
        {"replicas": "1"},
        {"group": {"port": 65536}},
        {"group": {"labels": {"a": 1}}},
    ):
        assert not judge.is_valid(bad), bad


def test_the_charts_own_defaults_fit_its_schema(chart: Path) -> None:
    built = json.loads((chart / "values.schema.json").read_text())
    judge = Draft202012Validator(built)
    defaults: dict[str, object] = {}
    for value in values.read(chart / "values.yaml"):
        node = defaults
        for key in value.keys[:-1]:
            node = node.setdefault(key, {})  # type: ignore[assignment]
        node[value.keys[-1]] = value.default
    assert list(judge.iter_errors(defaults)) == []


@given(st.decimals(0, 10**6, places=2), st.sampled_from(["", "m", "k", "Mi", "Gi", "Ti"]))
def test_quantities_of_the_usual_kind_are_taken(number: object, unit: str) -> None:
    judge = Draft202012Validator(schema.DEFINITIONS["quantity"])
    assert judge.is_valid(f"{number}{unit}")
    assert not judge.is_valid(f"{number} {unit}b")


def test_the_committed_files_are_fresh(chart: Path) -> None:
    for path, text in generate.generate(chart).items():
        assert path.read_text() == text, f"{path} is stale: run `harness generate`"


def test_the_version_changes_with_what_helm_packages(copy: Path) -> None:
    before = _version(copy)
    for name in ("templates/service.yaml", "values.yaml"):
        path = copy / name
        path.write_text(path.read_text() + "# more\n")
        assert _version(copy) != before
        before = _version(copy)


def test_the_version_does_not_change_with_what_helm_leaves_out(copy: Path) -> None:
    before = _version(copy)
    readme = copy / "README.md"
    readme.write_text(f"{readme.read_text()}\nMore.\n")
    (copy / "ci/other-values.yaml").write_text("replicas: 9\n")
    assert _version(copy) == before


def test_generating_twice_changes_nothing(copy: Path) -> None:
    first = generate.generate(copy)
    for path, text in first.items():
        path.write_text(text)
    assert generate.generate(copy) == first


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("README.md", "# Chart\n", "no place for the values"), ("Chart.yaml", "a: b\n", "version")],
    ids=["README", "Chart"],
)
def test_a_missing_place_is_named(copy: Path, name: str, text: str, message: str) -> None:
    (copy / name).write_text(text)
    with pytest.raises(InputError, match=message):
        generate.generate(copy)


def _version(chart: Path) -> str:
    return generate.generate(chart)[chart / "Chart.yaml"]
