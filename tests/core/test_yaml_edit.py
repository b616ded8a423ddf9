"""One value changes; every other line of the file, comments among them, stays as it was."""

import difflib
from pathlib import Path

import pytest

from harness.core.errors import HarnessError, InputError
from harness.core.fix import APPEND, NOTHING, REMOVED, Edit, Fix, flow, run, set_at
from harness.core.location import Location, YamlPath
from harness.core.values import KeyPath
from harness.core.yaml_edit import edited_text

FILE = Path("f.yaml")
SOURCE = """\
# top
kind: X  # kind
spec:
  # how many
  replicas: 1  # one
  empty:
  list:
    - name: a
      image: x

    - name: b   # bee
      ports: [1, 2]
  flow: {a: 1, b: {c: "2"}}
  text: |
    line
    other

  last: "1"

# trailing
---
second: 1
"""


def _edit(keys: KeyPath, value: object, document: int = 0, block: KeyPath = ()) -> Edit:
    return Edit(FILE, YamlPath(keys, document, block), value)


def _changed_lines(before: str, edit: Edit) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), edited_text(before, edit).splitlines())
    return [line[0] + line[2:] for line in lines if line[0] in "-+"]


@pytest.mark.parametrize(
    ("keys", "value", "changed"),
    [
        (("spec", "replicas"), 2, ["-  replicas: 1  # one", "+  replicas: 2  # one"]),
        (("spec", "replicas"), REMOVED, ["-  replicas: 1  # one"]),
        (("spec", "empty"), "on", ["-  empty:", '+  empty: "on"']),
        (("spec", "empty", "a", "b"), True, ["+    a:", "+      b: true"]),
        (
            ("spec", "list", 0, "name"),
            REMOVED,
            ["-    - name: a", "-      image: x", "+    - image: x"],
        ),
        (("spec", "list", 0), REMOVED, ["-    - name: a", "-      image: x"]),
        (("spec", "list", 1), REMOVED, ["-    - name: b   # bee", "-      ports: [1, 2]"]),
        (("spec", "list", APPEND), {"name": "c"}, ["+    - name: c"]),
        (("spec", "list", 1, "ports", 0), REMOVED, ["-      ports: [1, 2]", "+      ports: [2]"]),
        (
            ("spec", "list", 1, "ports", APPEND),
            3,
            ["-      ports: [1, 2]", "+      ports: [1, 2, 3]"],
        ),
        (
            ("spec", "flow", "b", "c"),
            "3",
            ['-  flow: {a: 1, b: {c: "2"}}', '+  flow: {a: 1, b: {c: "3"}}'],
        ),
        (("spec", "flow", "b"), REMOVED, ['-  flow: {a: 1, b: {c: "2"}}', "+  flow: {a: 1}"]),
        (
            ("spec", "text"),
            {"a": 1},
            ["-  text: |", "+  text:", "+    a: 1", "-    line", "-    other"],
        ),
        (("spec", "last"), "2", ['-  last: "1"', '+  last: "2"']),
        (("spec", "new", "x"), [{"a": 1}], ["+  new:", "+    x:", "+      - a: 1"]),
        (("kind",), REMOVED, ["-kind: X  # kind"]),
    ],
)
def test_only_what_is_meant_changes(keys: KeyPath, value: object, changed: list[str]) -> None:
    assert _changed_lines(SOURCE, _edit(keys, value)) == changed


def test_the_second_document() -> None:
    assert _changed_lines(SOURCE, _edit(("second",), 2, 1)) == ["-second: 1", "+second: 2"]
    with pytest.raises(InputError, match="no such document"):
        edited_text(SOURCE, _edit(("second",), 2, 2))


def test_a_patch_inside_a_block_of_text() -> None:
    source = "patches:\n  - patch: |\n      - op: add\n        value: 1\n  - target: {}\n"
    edit = _edit((0, "value"), 2, block=("patches", 0, "patch"))
    assert _changed_lines(source, edit) == ["-        value: 1", "+        value: 2"]


def test_line_ends_of_windows_stay() -> None:
    assert edited_text("a: 1\r\nb: 2\r\n", _edit(("c",), 3)) == "a: 1\r\nb: 2\r\nc: 3\r\n"


@pytest.mark.parametrize("source", ["a: &x 1\nb: *x\n", "a: &x {}\nb: *x\n"])
def test_what_cannot_be_edited_is_refused(source: str) -> None:
    with pytest.raises(HarnessError, match="cannot be edited"):
        edited_text(source, _edit(("a", "c"), 3))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1", '"1"'),
        ("on", '"on"'),
        ("a: b", '"a: b"'),
        ("a, b", '"a, b"'),
        ("x/y:z@sha256:0", "x/y:z@sha256:0"),
        ("", '""'),
        (None, "null"),
        ({"a": [1, True]}, "{a: [1, true]}"),
    ],
)
def test_a_value_on_one_line_is_read_back_as_it_was(value: object, written: str) -> None:
    assert flow(value) == written


def test_the_text_of_a_fix_is_made_from_its_parts() -> None:
    def at(*keys: str | int) -> Location:
        return Location(FILE, 3, YamlPath(keys))

    fix = set_at(at("a", 0, "b"), "1") + set_at(at("c"), REMOVED) + set_at(at("d", APPEND), "e")
    assert str(fix + run("harness", "generate")) == (
        'set a[0].b to "1" in f.yaml, remove c from f.yaml, add e to d in f.yaml, '
        "then run `harness generate`"
    )
    assert Fix.from_row(fix.row) == fix


def test_half_a_fix_is_none() -> None:
    nowhere = set_at(Location(FILE, 3), 1)
    assert not nowhere
    assert not nowhere + run("harness", "generate")
    assert not NOTHING
