"""The real models in the real TorchServe, against the models called directly."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import embedded_server
from harness.embedded_server import Server
from harness.models.answer import wrong
from harness.models.samples import load_samples

pytestmark = pytest.mark.torchserve


@pytest.fixture(scope="module")
def served(checkout, built) -> Iterator[Server]:
    with embedded_server.running(checkout, env="local") as running:
        yield running


def post(served: Server, model: str, body: bytes, content_type: str) -> tuple[int, bytes]:
    url = f"{served.inference_url}/predictions/{model}"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_every_sample_is_answered_as_the_model_itself_answers(checkout, built, served):
    for samples in load_samples(checkout, built).values():
        for sample in samples:
            status, body = post(served, sample.model, sample.body, sample.content_type)
            assert (status, wrong(sample.expected, body)) == (200, None), (
                f"{sample.model} {sample.name}"
            )


@pytest.mark.parametrize("name", ["silero_vad", "squeezenet1_1"])
def test_bad_input_is_refused_and_its_neighbours_in_the_batch_are_answered(
    name, checkout, built, served
):
    sample = load_samples(checkout, built)[name][0]
    bodies = [b"no picture, no recording" if n % 4 == 3 else sample.body for n in range(16)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        answers = list(pool.map(lambda b: post(served, name, b, sample.content_type), bodies))
    for index, (status, body) in enumerate(answers):
        if index % 4 == 3:
            assert status == 400
            assert b'"BadInput"' in body
        else:
            assert (status, wrong(sample.expected, body)) == (200, None)
