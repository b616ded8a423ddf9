"""The real handlers, in TorchServe's own worker code, against the models called directly."""

import io
import json
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from harness.models.answer import wrong
from harness.models.samples import PreparedSample, load_samples

MODELS = ["magika", "mtcnn", "silero_vad", "squeezenet1_1"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def ask(unpacked, tmp_path_factory) -> Callable[[str, list[bytes]], list]:
    """Answers of a model's handler to one batch, as [status, answer]."""

    def ask(name: str, bodies: list[bytes]) -> list:
        folder = tmp_path_factory.mktemp("requests")
        paths = [folder / str(index) for index in range(len(bodies))]
        for path, body in zip(paths, bodies, strict=True):
            path.write_bytes(body)
        worker = [sys.executable, "-W", "ignore", "-m", "tests.models.worker"]
        process = subprocess.run(
            [*worker, unpacked(name), *paths], cwd=ROOT, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout.splitlines()[-1])

    return ask


@pytest.fixture(scope="session")
def prepared(checkout, built) -> dict[str, tuple[PreparedSample, ...]]:
    return dict(load_samples(checkout, built))


def picture(width: int, height: int, kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "green").save(target, kind)
    return target.getvalue()


def recording(*, rate: int = 16_000, width: int = 2, frames: int = 16_000) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(width * frames))
    return target.getvalue()


BROKEN = {
    "magika": {b"": "nothing to look at: send the content as the body"},
    "mtcnn": {
        b"": "not a",
        b"no picture": "not a picture",
        picture(40, 40)[:-60]: "a picture that cannot be read",
        picture(20, 400): "20×400 pixels: send 32 to 4096 a side",
        picture(4097, 32): "4097×32 pixels",
    },
    "silero_vad": {
        b"": "not a",
        b"RIFF": "not a WAV file: it ends too soon",
        picture(40, 40): "not a WAV file",
        recording(rate=44_100): "44100 Hz, 16 bit: send 8,000 or 16,000 Hz, 16 bit",
        recording(width=1): "16000 Hz, 8 bit",
        recording(frames=0): "a recording without a sample",
    },
    "squeezenet1_1": {
        b"": "not a",
        b"GIF89a": "not a picture",
        picture(8193, 32): "8193×32 pixels: send 32 to 8192 a side",
    },
}
FINE = {
    "magika": [b"few", b"\xff\xfe", b" " * 5_000, picture(40, 40), b"x = 1\n" * 20_000],
    "mtcnn": [picture(40, 4000), picture(33, 33, "JPEG"), picture(64, 64, "GIF")],
    "silero_vad": [recording(rate=8_000), recording(frames=1), recording(frames=100_001)],
    "squeezenet1_1": [picture(8192, 32), picture(33, 33, "JPEG"), picture(225, 1000, "WEBP")],
}


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_answered_as_the_model_itself_answers_and_bad_input_fails_alone(
    name, ask, prepared
):
    samples, broken, fine = prepared[name], BROKEN[name], FINE[name]
    bodies = [*broken, *(sample.body for sample in samples), *fine]
    answers = ask(name, bodies)
    assert len(answers) == len(bodies)
    for (status, answer), says in zip(answers, broken.values(), strict=False):
        assert (status, answer["code"], answer["type"]) == (400, 400, "BadInput")
        assert says in answer["message"]
    for (status, answer), sample in zip(answers[len(broken) :], samples, strict=False):
        assert status == 200
        assert wrong(sample.expected, json.dumps(answer).encode()) is None
    assert [status for status, _ in answers[-len(fine) :]] == [200] * len(fine)


def test_a_content_is_what_the_package_itself_says(ask):
    from magika import Magika

    contents = [b"few", b"\xff\xfe", b" \n" * 3_000, b"a,b\n1,2\n3,4\n", b"\x00" * 9_000]
    for content, (status, answer) in zip(contents, ask("magika", contents), strict=True):
        right = Magika().identify_bytes(content).prediction
        assert (status, answer["label"]) == (200, str(right.output.label))
        assert answer["score"] == pytest.approx(right.score, abs=1e-4)


def test_silence_has_no_speech_and_a_green_field_no_face(ask):
    assert ask("silero_vad", [recording(frames=32_000)]) == [[200, {"seconds": 2.0, "speech": []}]]
    assert ask("mtcnn", [picture(200, 200)]) == [[200, {"faces": []}]]


def test_the_samples_of_a_model_have_different_answers(prepared):
    for name in ("mtcnn", "squeezenet1_1"):
        first, second, *_ = prepared[name]
        assert wrong(first.expected, json.dumps(second.expected.answer).encode()) is not None


def test_the_face_and_the_speech_are_where_a_person_finds_them(prepared):
    face = next(s for s in prepared["mtcnn"] if s.name == "astronaut").expected.answer["faces"][0]
    x_min, y_min, x_max, y_max = face["box"]
    assert 165 < x_min < 190 < 255 < x_max < 280
    assert 50 < y_min < 75 < 165 < y_max < 190
    (speech,) = prepared["silero_vad"]
    assert [round(phrase["start"], 1) for phrase in speech.expected.answer["speech"]] == [
        0.3,
        1.9,
        3.5,
        4.9,
        6.6,
        8.1,
    ]
