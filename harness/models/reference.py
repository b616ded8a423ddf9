"""What each sample must be answered: by what model.yaml says of it, and by calling the model
directly, outside TorchServe, if it has a reference.

A model's reference.py has ``load(folder) -> Callable[[bytes], answer]``, where ``folder`` is the
unpacked archive. It is written against the package that the model comes from, not against our
handler, so that a mistake in the handler shows. An answer is JSON, a text or bytes.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import image_sets, set_environment
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models import answer, expectation, reference_process, source
from harness.models.archive import unpackable
from harness.models.catalog import Model, Sample
from harness.models.expectation import Expectation
from harness.models.samples import Origin, PreparedSample


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
    """Every sample of ``model`` with what is known of its correct answer.

    Args:
        model: whose samples.
        folder: where its model.yaml lies.
        version: of the archive; what a person knows is asked of model.yaml's version only.
        mar: the archive, which is unpacked into the folder ``work`` for the reference; None if
            it does not lie here.

    Raises:
        InputError: the model's own answer is not what a person expects, or its reference failed.
    """
    has_reference = model.reference is not None and mar is not None
    samples = [each for each in model.samples if each.expect or has_reference]
    bodies = {each.name: source.resolve(each.file, folder).read_bytes() for each in samples}
    # A reference knows how the model answers, not how its handler refuses.
    for_reference = [each for each in samples if not each.recorded and _status(each) < 400]
    answers: dict[str, answer.Json | bytes] = {}
    if has_reference and mar is not None:
        with unpackable(mar) as archive:
            archive.extractall(work)
        asked_bodies = [bodies[each.name] for each in for_reference]
        rights = _ask(model, folder, work, asked_bodies)
        answers = dict(zip((each.name for each in for_reference), rights, strict=True))
    return [
        _prepare(model, each, folder, version, bodies[each.name], answers.get(each.name))
        for each in samples
    ]


def _status(sample: Sample) -> int:
    return (sample.expect or Expectation(status=200)).status


def _prepare(
    model: Model,
    sample: Sample,
    folder: Path,
    version: str,
    body: bytes,
    right: answer.Json | bytes | None,
) -> PreparedSample:
    expected = expectation.resolve(sample.expect or Expectation(status=200), folder)
    origin: Origin = "recorded" if sample.recorded else "written"
    if right is not None:
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


def _ask(
    model: Model, folder: Path, work: Path, bodies: Sequence[bytes]
) -> list[answer.Json | bytes]:
    """What the model's reference answers, in the environment of its image set.

    Args:
        model: whose reference.
        folder: where its model.yaml lies.
        work: the unpacked archive.
        bodies: the requests.
    """
    path = source.resolve(str(model.reference), folder)
    repository = Repository(folder.parent.parent)
    [image_set, *_] = image_sets.of_model(repository.root, model.name)
    if image_set.is_default:
        return list(reference_process.answers(path, model.name, work, bodies))
    python = set_environment.python(repository, image_set)
    return reference_process.ask(python, path, model.name, work, bodies)


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
