"""What a correct answer may be, besides JSON: each kind, as model.yaml says it."""

import hashlib
import io
import json
import zipfile

import pytest
from PIL import Image, ImageDraw

from harness.core.errors import InputError
from harness.models import build, reference
from harness.models.answer import wrong, wrong_response
from harness.models.catalog import load_model
from harness.models.samples import load_samples

EXPECT = "    expect:\n      answer: {length: 5}\n"


def picture(color: str = "green", size: int = 32, dots: int = 0) -> bytes:
    target = io.BytesIO()
    image = Image.new("RGB", (size, size), color)
    ImageDraw.Draw(image).rectangle((0, 0, dots, dots), "white")
    image.save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def prepare(tiny, tmp_path):
    """The one sample of the model, as a build prepares it."""

    def prepare():
        folder, mar = tiny.models / "tiny", tmp_path / "tiny.mar"
        zipfile.ZipFile(mar, "w").close()
        (sample,) = reference.prepare(
            load_model(folder / "model.yaml"), folder, "1", mar, tmp_path / "unpacked"
        )
        return sample

    return prepare


@pytest.fixture
def with_expect(prepare, edit):
    """What the one sample of a model without a reference expects."""

    def with_expect(yaml: str):
        edit("reference: reference.py\n", "")
        edit(EXPECT, f"    expect: {yaml}\n")
        sample = prepare()
        assert sample.origin == "written"
        return sample.expected

    return with_expect


@pytest.mark.parametrize(
    ("yaml", "right", "false", "says"),
    [
        ("{text: 'It is Paris.'}", b"It is Paris.\n", b"It is paris.", "not"),
        ("{contains: Paris}", b"It is Paris.", b"It is Rome.", "does not contain 'Paris'"),
        ("{contains: [It, Paris]}", b"It is Paris.", b"Paris", "does not contain 'It'"),
        ("{pattern: '^[A-Z]{3}$'}", b"CDG", b"Paris", "does not match"),
        ("{answer: Paris}", b"Paris", b"Rome", "not JSON"),
        ("{answer: Paris}", b'"Paris"', b'"Rome"', 'answer: "Rome", not "Paris"'),
        ("{answer: null}", b"null", b"0", "answer: 0, not null"),
        (f"{{sha256: {hashlib.sha256(b'x').hexdigest()}}}", b"x", b"y", "1 bytes with sha256"),
        ("{jsonSchema: {required: [a]}}", b'{"a": 1}', b"{}", "$: 'a' is a required property"),
        ("{jsonSchema: {type: array}}", b"[]", b"text", "not JSON"),
        ("{jsonSchema: schema.json}", b"[1]", b'["a"]', "$[0]: 'a' is not of type 'integer'"),
        ("{function: check.py}", b"even", b"odd", "3 is odd"),
        ("{contains: a, pattern: 'b$'}", b"ab", b"ba", "does not match"),
    ],
)
def test_each_kind_tells_a_correct_answer_from_a_wrong_one(
    tiny, with_expect, yaml, right, false, says
):
    folder = tiny.models / "tiny"
    (folder / "schema.json").write_text('{"items": {"type": "integer"}}')
    (folder / "check.py").write_text(
        "def check(body):\n    if len(body) % 2:\n        return f'{len(body)} is odd'\n"
    )
    known = with_expect(yaml)
    assert wrong(known, right) is None
    assert says in wrong(known, false)


def test_a_picture_may_be_off_by_its_distance_and_no_more(tiny, with_expect):
    (tiny.models / "tiny" / "right.png").write_bytes(picture())
    known = with_expect("{image: right.png, tolerance: {image: 0.05}}")
    assert wrong(known, picture(dots=1)) is None
    assert "distance 0." in wrong(known, picture(dots=20))
    assert "16 × 16 pixels, not 32 × 32" in wrong(known, picture(size=16))
    assert "not a picture" in wrong(known, b"PNG")


def test_a_status_alone_is_an_expectation(with_expect):
    known = with_expect("{status: 400}")
    assert wrong_response(known, 400, b"whatever") is None
    assert wrong_response(known, 200, b"fine") == "HTTP 200, not 400: fine"


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("{}", "one of: status, answer, text"),
        ("{tolerance: {absolute: 1}}", "one of: status, answer, text"),
        ("{pattern: '('}", "pattern is not a regular expression: missing )"),
        ("{jsonSchema: {type: nothing}}", "not a JSON Schema: 'nothing' is not valid"),
        ("{function: nowhere.py}", "no file nowhere.py"),
        ("{txet: a}", "unknown key; did you mean text?"),
    ],
)
def test_an_expectation_that_can_say_nothing_is_refused(with_expect, yaml, says):
    with pytest.raises(InputError) as caught:
        with_expect(yaml)
    assert says in str(caught.value)
    assert "model.yaml:" in str(caught.value)


@pytest.mark.parametrize(
    ("right", "answer"), [("'Paris'", b"Paris"), ("b'\\x00\\xff'", b"\x00\xff"), ("[1]", b"[1]")]
)
def test_a_reference_may_give_text_and_bytes(tiny, edit, prepare, right, answer):
    (tiny.models / "tiny" / "reference.py").write_text(
        f"def load(_):\n    return lambda _: {right}\n"
    )
    edit(EXPECT, "")
    sample = prepare()
    assert sample.origin == "reference"
    assert wrong(sample.expected, answer) is None
    assert wrong(sample.expected, answer + b"!")


def test_a_reference_is_not_asked_how_the_handler_refuses(edit, prepare):
    edit(EXPECT, "    expect: {status: 400}\n")
    sample = prepare()
    assert sample.expected.status == (400,)
    assert sample.expected.tolerance is None


FAULTS = {
    "reference.py": (
        "import json\ndef load(_): return answer\ndef answer(body): return json.loads(body)['x']\n",
        "reference.py:3: the reference of tiny failed: JSONDecodeError: Expecting value",
    ),
    "check.py": (
        "def check(_):\n try:\n  {}['missing']\n except KeyError:\n  raise OSError('late')\n",
        "check.py:3: the check failed: KeyError: 'missing'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_persons_code_is_their_line_and_their_frames(tiny, edit, prepare, name):
    source, headline = FAULTS[name]
    folder = tiny.models / "tiny"
    (folder / name).write_text(source)
    if name == "check.py":
        edit(EXPECT, "    expect: {function: check.py}\n")
    with pytest.raises(InputError) as caught:
        prepare()
    first, *frames = str(caught.value).splitlines()
    assert first.startswith(f"{folder}/{headline}")
    assert frames
    assert not [line for line in frames if "harness" in line]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import nowhere_at_all\n", "check.py:1: check.py cannot be run: ModuleNotFoundError"),
        ("def check(body:\n", "check.py:1: check.py cannot be run: SyntaxError"),
        ("x = 1\n", "defines no function check"),
        ("def check(body): return True\n", "check returned bool, not a text"),
        ("def check(body): assert body == b'a', 'no a'\n", "no a"),
    ],
)
def test_a_check_that_cannot_be_one_is_said(tiny, edit, prepare, source, says):
    (tiny.models / "tiny" / "check.py").write_text(source)
    edit(EXPECT, "    expect: {function: check.py}\n")
    with pytest.raises(InputError) as caught:
        prepare()
    assert says in str(caught.value)


def test_prepared_answers_survive_the_file(tiny, edit):
    edit(EXPECT, "    expect: {contains: ['5'], status: 201}\n")
    (sample,) = load_samples(tiny, build.build(tiny))["tiny"]
    assert sample.expected.contains == ("5",)
    assert wrong_response(sample.expected, 201, json.dumps({"length": 5}).encode()) is None
