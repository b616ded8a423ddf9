"""The format: what we write the JVM reads, what the JVM writes we read, and so do we."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import InputError
from harness.snapshot import model_snapshot, properties
from harness.snapshot.model_snapshot import ModelSnapshot
from tests.snapshot.cases import MODEL_SETS, PAIRS
from tests.snapshot.conftest import JavaProperties

Pairs = dict[str, str]
# Files that nobody would write: nearly every character is syntax.
SYNTAX = [
    "\\",
    "\n",
    "\r",
    "\r\n",
    " ",
    "\t",
    "\f",
    "#",
    "!",
    "=",
    ":",
    "a",
    "é",
    "\\u0041",
    "\\u0",
]
FILES = st.lists(st.sampled_from(SYNTAX), max_size=24).map("".join)


@pytest.mark.timeout(900)  # 20 s of work, but the machine may be busy
@settings(max_examples=10_000, deadline=None)
@given(PAIRS, MODEL_SETS)
def test_what_is_written_is_read_back(pairs: Pairs, models: ModelSnapshot) -> None:
    text = properties.dump({**pairs, "model_snapshot": model_snapshot.pieces(models)})

    parsed = properties.parse(text)
    value = parsed.pop("model_snapshot")
    assert list(parsed.items()) == list(pairs.items())
    assert model_snapshot.parse(value, Path("x")) == models
    assert text.isascii()


@settings(max_examples=1_000, deadline=None)
@given(PAIRS, MODEL_SETS)
def test_the_jvm_reads_what_we_write(
    java_properties: JavaProperties, pairs: Pairs, models: ModelSnapshot
) -> None:
    pieces = model_snapshot.pieces(models)
    text = properties.dump({**pairs, "model_snapshot": pieces})

    assert java_properties.load(text.encode("ascii")) == {
        **pairs,
        "model_snapshot": "".join(pieces),
    }


@settings(max_examples=1_000, deadline=None)
@given(PAIRS)
def test_we_read_what_the_jvm_writes(java_properties: JavaProperties, pairs: Pairs) -> None:
    assert properties.parse(java_properties.store(pairs).decode("latin-1")) == pairs


@settings(max_examples=1_000, deadline=None)
@given(FILES)
def test_any_file_reads_as_the_jvm_reads_it(java_properties: JavaProperties, text: str) -> None:
    try:
        ours: Pairs | None = properties.parse(text)
    except InputError:
        ours = None

    assert ours == java_properties.load(text.encode("latin-1"))


@given(st.lists(st.text("a =#\\\n\té"), min_size=1, max_size=4))
def test_a_folded_value_is_its_pieces_joined(pieces: list[str]) -> None:
    assert properties.parse(properties.dump({"key": pieces})) == {"key": "".join(pieces)}


def test_a_malformed_escape_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.properties"
    path.write_bytes(b"a=1\nb=one \\\n  line\nc=\\u12g4\n")

    with pytest.raises(InputError, match=r"config\.properties:4: malformed \\u"):
        properties.read(path)


def test_a_file_is_read_as_latin_1_like_the_jvm_does(tmp_path: Path) -> None:
    path = tmp_path / "config.properties"
    path.write_bytes("model_store=/modèles".encode())

    assert properties.read(path)[0].value == "/modÃ¨les"
