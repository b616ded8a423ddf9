"""Substitution gives what Flux gives: answers recorded from fluxcd/pkg/envsubst v1.9.0."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import InputError
from harness.render.rendered import UnsupportedError
from harness.render.substitution import names, substitute

VARIABLES = {"A": "value", "N": "12", "E": "", "URL": "https://x/y", "MIX": "aBc"}
RECORDED = Path(__file__).parents[1] / "testdata" / "substitution" / "recorded.jsonl"


@pytest.mark.parametrize(
    "case",
    [json.loads(line) for line in RECORDED.read_text().splitlines()],
    ids=lambda c: c["text"],
)
def test_gives_what_flux_gives(case: dict[str, str]) -> None:
    if case["error"]:
        with pytest.raises(InputError, match="bad substitution"):
            substitute(case["text"], VARIABLES)
    else:
        assert substitute(case["text"], VARIABLES) == case["out"]


@given(st.text(st.characters(exclude_characters="$")))
def test_text_without_a_dollar_stays(text: str) -> None:
    assert substitute(text, VARIABLES) == text


@given(st.text())
def test_doubled_dollars_come_out_as_they_were(text: str) -> None:
    assert substitute(text.replace("$", "$$"), VARIABLES) == text


@pytest.mark.parametrize("text", ["${A#v}", "${A%e}"])
def test_what_flux_reads_and_the_render_does_not_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError, match="is not read"):
        substitute(text, VARIABLES)


def test_only_variables_without_a_default_need_a_value() -> None:
    assert names("${ONE} ${TWO:-2} ${THREE^^} $${FOUR}") == {"ONE", "THREE"}
