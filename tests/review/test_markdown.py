"""What is quoted stays text, whatever it says, and a page keeps to its room."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.review.markdown import Page, plain, visible, word

_REST = "harness diff"
# What Markdown, HTML and GitHub make something of, beside any text at all.
_LOADED = st.sampled_from(
    [
        "```",
        "````",
        "~~~",
        "@everyone",
        "#1",
        "<img src=x onerror=y>",
        "![](http://a)",
        "\\",
        "\u202e",
    ]
)
_LINES = st.lists(st.lists(_LOADED | st.text(max_size=20), max_size=6).map("".join), max_size=30)


@given(_LINES, st.integers(400, 2_000))
def test_what_is_quoted_is_one_block_of_code(lines: list[str], room: int) -> None:
    page = Page(room)
    page.add("## What changes")
    page.quote(lines, rest=_REST)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(str(page))
    kinds = {token.type for token in tokens}
    assert kinds <= {
        *("heading_open", "heading_close", "inline", "fence", "paragraph_open", "paragraph_close"),
    }
    types = [child.type for token in tokens for child in token.children or []]
    assert set(types) <= {"text", "code_inline"}
    assert sum(token.type == "fence" for token in tokens) <= 1


@given(_LINES, st.integers(400, 2_000))
def test_a_page_keeps_to_its_room(lines: list[str], room: int) -> None:
    page = Page(room)
    page.add("## What changes")
    page.quote(lines, rest=_REST)
    assert len(str(page)) <= room


@given(_LINES)
def test_every_line_is_shown_or_counted(lines: list[str]) -> None:
    page = Page(1_000)
    page.quote(lines, rest=_REST)
    tokens = MarkdownIt().parse(str(page))
    shown = sum(token.content.count("\n") for token in tokens if token.type == "fence")
    notes = [token.content for token in tokens if token.type == "inline"]
    assert shown + sum(int(each.split()[0]) for each in notes) == len(lines)


@given(st.text())
def test_no_character_hides(text: str) -> None:
    assert not {unicodedata.category(each) for each in visible(text)} & {"Cc", "Cf", "Cs", "Zl"}


def test_a_long_line_is_cut() -> None:
    assert visible("x" * 1_000).endswith("x…")
    assert len(visible("x" * 1_000)) == 401


@pytest.mark.parametrize(
    ("name", "shown"),
    [("staging", "`staging`"), ("www.a.b", "`www.a.b`"), ("a`<b>@c", "`a??b??c`"), ("", "``")],
)
def test_a_name_in_our_own_words(name: str, shown: str) -> None:
    assert word(name) == shown


def test_a_name_in_a_command_has_nothing_for_a_shell() -> None:
    assert plain("HEAD^; touch $(x)") == "HEAD^??touch???x?"


def test_our_own_words_are_never_cut() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Page(10).add("more than ten characters")
