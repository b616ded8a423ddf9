"""A fault in somebody's handler is one headline with their file and line, their frames under it."""

from pathlib import Path

import pytest

from harness.launcher.load_failure import explain

TRACEBACKS = Path(__file__).parents[1] / "testdata" / "load-failures"


@pytest.mark.parametrize(
    ("case", "headline"),
    [
        (
            "missing",
            "handler.py:1: ModuleNotFoundError: No module named 'not_a_package': the image has",
        ),
        (
            "chained",
            "handler.py:16: json.decoder.JSONDecodeError: Expecting property name enclosed",
        ),
        ("syntax", "handler.py:4: SyntaxError: '(' was never closed"),
        ("state-dict", "handler.py:9: RuntimeError: Error(s) in loading state_dict for Linear:"),
        ("two-classes", "ValueError: Expected only one class in custom service code or a function"),
    ],
)
def test_the_headline_is_the_first_cause_with_its_line(case: str, headline: str) -> None:
    lines = (TRACEBACKS / f"{case}.txt").read_text().splitlines()
    text = explain("a_b_1.0", lines, timed_out=False)
    assert text.startswith(f"a_b_1.0 cannot be loaded: {headline}")
    assert "/ts/model_" not in text
    assert "<frozen" not in text
    assert "/tmp/models/" not in text
