"""YAML at the edge: every refusal names its line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.core import document
from harness.core.document import Strict
from harness.core.errors import InputError


class Serving(Strict):
    minWorkers: int  # noqa: N815 - TorchServe's own name


class Entry(Strict):
    name: str
    serving: Serving
    extra: tuple[Serving, ...] = ()
    by_name: dict[str, Serving] = {}  # noqa: RUF012 - pydantic copies it


def load(tmp_path: Path, text: str) -> Entry:
    path = tmp_path / "model.yaml"
    path.write_text(text)
    return document.load(path, Entry)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nserving:\n  minWorker: 1\n", ":3: serving.minWorker: unknown key; did you mean"),
        ("name: 1.0\nserving: {minWorkers: 1}\n", ':1: name: must be text: quote it as "1.0"'),
        ("name: a\nserving: {minWorkers: '1'}\n", ":2: serving.minWorkers: "),
        ("name: a\nserving:\n  minWorkers: 1\nextra:\n- minWorkerz: 1\n", ":5: extra.0.minWorkerz"),
        ("name: a\nserving: {minWorkers: 1}\nby_name:\n  x: {m: 1}\n", ":4: by_name.x.m: unknown"),
        ("name: a\nname: b\n", ":2: duplicate key 'name' (first on line 1)"),
        ("name: a\nserving:\n\tminWorkers: 1\n", ":3: not YAML"),
        ("name: !!python/object:os.system a\n", ":1: a value that cannot be read"),
        ("", "0 YAML documents where one is expected"),
        ("a: 1\n---\nb: 2\n", "2 YAML documents where one is expected"),
    ],
    ids=[
        "unknown key",
        "a number for text",
        "text for a number",
        "in a list",
        "in a mapping",
        "duplicate",
        "tab",
        "tag",
        "empty",
        "two documents",
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        load(tmp_path, text)
    assert f"{tmp_path}/model.yaml" in str(refused.value)
    assert expected in str(refused.value)


def test_every_problem_of_a_file_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load(tmp_path, "nam: a\nserving: {minWorkers: x, minWorkerz: 1}\n")
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "[" * 2_000 + "]" * 2_000],
    ids=["lists", "mappings", "compact", "for-python"],
)
def test_what_is_nested_too_deeply_is_refused_and_ends_no_process(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(InputError, match=r"deep\.yaml.*one in another"):
        document.parse(text, tmp_path / "deep.yaml")


def test_a_yaml_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    # A million values: without the limit it fails too, and soon, rather than eat this machine.
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 6)]
    with pytest.raises(InputError, match="more than 200,000 values"):
        load(tmp_path, "\n".join(rows))


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"name: \xff\n", "not UTF-8 at byte 6"), (b"#" * (5 << 20), "larger than 4 MiB")],
    ids=["not UTF-8", "huge"],
)
def test_a_file_that_is_no_text_of_ours_is_refused(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        document.load(path, Entry)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml: cannot be read: No such file"):
        document.load(tmp_path / "gone.yaml", Entry)


_SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(_VALUES)
def test_what_yaml_writes_is_read_back_with_a_line_for_everything(value: object) -> None:
    text = yaml.safe_dump(value)
    (read,) = document.parse(text, Path("x.yaml"))
    assert read.value == value
    assert all(1 <= line <= len(text.splitlines()) + 1 for line in read.lines.values())
