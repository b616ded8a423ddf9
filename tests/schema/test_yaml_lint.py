"""What YAML lets through and a reader does not expect."""

from pathlib import Path

import pytest

from harness.render.tree import Tree
from harness.schema.yaml_lint import problems

CASES = {
    "fine": ("a: yes-man\nb: 'on'\nc: true\n", []),
    "twice": ("a: 1\nb: 2\na: 3\n", [("yaml/duplicate-key", 3)]),
    "tab": ("a:\n\tb: 1\n", [("yaml/tab", 2)]),
    "tab after a line": ("a: 1\nb:\n  c: 1\n\td: 2\n", [("yaml/tab", 4)]),
    "tab in text": ("a: 'x\ty'\n", []),
    "broken": ("a: [1\nb: 2\n", [("yaml/unreadable", 2)]),
    "anchor": ("a: &x 1\nb: *x\n", [("yaml/anchor", 1), ("yaml/anchor", 2)]),
    "anchor in TorchServe's metrics": ("dimensions: [&x Host]\nts_metrics: {d: [*x]}\n", []),
    "on": ("on: push\n", [("yaml/boolean", 1)]),
    "no": ("country: no\n", [("yaml/boolean", 1)]),
    "quoted number": ('a: "${ACCOUNT}"\n', [("yaml/lost-quotes", 1)]),
    "quoted number in a list": ('a:\n  - "${ACCOUNT}"  # why\n', [("yaml/lost-quotes", 2)]),
    "quoted text": ('a: "${REGION}"\n', []),
    "number in text": ('a: "x-${ACCOUNT}"\n', []),
    "number for a number": ("a: ${ACCOUNT}\n", []),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_yaml_lint(tmp_path: Path, text: str, expected: list[tuple[str, int]]) -> None:
    (tmp_path / "file.yaml").write_text(text)
    variables = {"ACCOUNT": "111122223333", "REGION": "us-west-2"}
    reported = problems(Tree(tmp_path), "file.yaml", variables)
    assert [(each.rule, each.location.line) for each in reported] == expected
