"""What each sample must be answered: by what model.yaml says of it, and by calling the model
directly, outside TorchServe, if it has a reference.

A model's reference.py has ``load(folder) -> Callable[[bytes], answer]``, where ``folder`` is the
unpacked archive. It is written against the package that the model comes from, not against our
handler, so that a mistake in the handler shows. An answer is JSON, a text or bytes.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.core.errors import InputError
from harness.models import answer, expectation, source, user_code
from harness.models.archive import unpackable
from harness.models.catalog import Model, Sample
from harness.models.expectation import Expectation
from harness.models.samples import Origin, PreparedSample

_Ask = Callable[[bytes], answer.Json | bytes]


def sources(model: Model) -> Iterator[str]:
    """Every file that decides an answer and is not in the archive."""
    if model.reference:
        yield model.reference
    for sample in model.samples:
        yield sample.file
        yield from expectation.sources(sample.expect)


def prepare(
    model: Model, folder: Path, version: str, mar: Path | None, work: Path
) -> list[PreparedSample]:
    """Every sample of ``model`` with what is known of its right answer.

    Args:
        model: whose samples.
        folder: where its model.yaml lies.
        version: of the archive; what a person knows is asked of model.yaml's version only.
        mar: the archive, which is unpacked into the folder ``work`` for the reference; None if
            it does not lie here.

    Raises:
        InputError: the model's own answer is not what a person expects, or its reference failed.
    """
    ask = _reference(model, folder, mar, work)
    known = (each for each in model.samples if each.expect or ask)
    return [_prepare(model, each, folder, version, ask) for each in known]


def _prepare(
    model: Model, sample: Sample, folder: Path, version: str, ask: _Ask | None
) -> PreparedSample:
    body = source.resolve(sample.file, folder).read_bytes()
    described = sample.expect or Expectation(status=200)
    expected = expectation.resolve(described, folder)
    origin: Origin = "recorded" if sample.recorded else "written"
    # A reference knows how the model answers, not how its handler refuses.
    if ask and not sample.recorded and described.status < 400:
        right = ask(body)
        if version == model.version:
            _expect(sample, expected, right, folder)
        expected = expectation.with_reference(expected, right, model.tolerance)
        origin = "reference"
    return PreparedSample(
        model=model.name,
        version=version,
        name=sample.name,
        content_type=sample.content_type,
        body=body,
        expected=expected,
        origin=origin,
        recorded=str(sample.recorded or ""),
    )


def _reference(model: Model, folder: Path, mar: Path | None, work: Path) -> _Ask | None:
    if model.reference is None or mar is None:
        return None
    with unpackable(mar) as archive:
        archive.extractall(work)
    path = source.resolve(model.reference, folder)
    load = user_code.function_of(user_code.load_module(path, f"reference_{model.name}"), "load")
    with user_code.calling(path, f"the reference of {model.name} failed"):
        ask: _Ask = load(work)

    def answer_to(body: bytes) -> answer.Json | bytes:
        with user_code.calling(path, f"the reference of {model.name} failed"):
            right = ask(body)
        if isinstance(right, bytes):
            return right
        try:
            encoded: answer.Json = json.loads(json.dumps(right, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the reference of {model.name} gives what is neither JSON nor bytes: {error}",
                at=path,
            ) from error
        return encoded

    return answer_to


def _expect(
    sample: Sample, expected: answer.Expected, right: answer.Json | bytes, folder: Path
) -> None:
    if isinstance(right, bytes):
        body = right
    else:
        body = (right if isinstance(right, str) else json.dumps(right)).encode()
    if mismatch := answer.wrong(expected, body):
        at = source.mention(f"name: {sample.name}", folder / "model.yaml")
        raise InputError(f"the model does not answer {sample.name} as expected: {mismatch}", at=at)
