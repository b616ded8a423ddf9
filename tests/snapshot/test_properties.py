"""The properties format: what we write the JVM reads, what the JVM writes we read."""

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import InputError
from harness.snapshot import properties
from tests.snapshot.conftest import JavaProperties


def utf16(text: str) -> str:
    """The text as Java holds it: two halves side by side are one character."""
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")


# Any character, halves of surrogate pairs included, and often the ones that have a meaning.
CHARACTERS = st.one_of(st.sampled_from(" =:#!\\\t\f\r\nu\0$'\"{},"), st.characters(codec=None))
TEXT = st.text(CHARACTERS, max_size=8).map(utf16)
PAIRS = st.dictionaries(TEXT, TEXT, max_size=3)
# Files as nobody would write them: nearly every character is syntax.
FILES = st.lists(
    st.sampled_from(
        [
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
            "\\n",
        ]
    ),
    max_size=24,
).map("".join)


@settings(max_examples=10_000)
@given(PAIRS)
def test_what_is_written_is_read_back(pairs: dict[str, str]) -> None:
    text = properties.dump(pairs)

    assert properties.parse(text) == pairs
    assert text.isascii()
    assert list(properties.parse(text)) == list(pairs)


@settings(max_examples=1_000)
@given(PAIRS)
def test_the_jvm_reads_what_we_write(
    java_properties: JavaProperties, pairs: dict[str, str]
) -> None:
    assert java_properties.load(properties.dump(pairs).encode("ascii")) == pairs


@settings(max_examples=1_000)
@given(PAIRS)
def test_we_read_what_the_jvm_writes(
    java_properties: JavaProperties, pairs: dict[str, str]
) -> None:
    assert properties.parse(java_properties.store(pairs).decode("latin-1")) == pairs


@settings(max_examples=1_000)
@given(FILES)
def test_any_file_reads_as_the_jvm_reads_it(java_properties: JavaProperties, text: str) -> None:
    try:
        ours: dict[str, str] | None = properties.parse(text)
    except InputError:
        ours = None

    assert ours == java_properties.load(text.encode("latin-1"))


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_a_folded_value_is_its_pieces_joined(pieces: list[str]) -> None:
    assert properties.parse(properties.dump({"key": pieces})) == {"key": utf16("".join(pieces))}
