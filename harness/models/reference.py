"""What each sample must be answered: by calling the model directly, outside TorchServe.

A model's reference.py has ``load(folder) -> Callable[[bytes], answer]``, where ``folder`` is the
unpacked archive. It is written against the package that the model comes from, not against our
handler, so that a mistake in the handler shows.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.core.errors import InputError, Location
from harness.models import answer, source
from harness.models.archive import unpackable
from harness.models.catalog import Model, Sample
from harness.models.samples import PreparedSample


def sources(model: Model) -> Iterator[str]:
    """Every file that decides an answer and is not in the archive."""
    if model.reference:
        yield model.reference
    yield from (sample.file for sample in model.samples)


def prepare(
    model: Model, folder: Path, version: str, mar: Path, work: Path
) -> list[PreparedSample]:
    """Every sample of ``model`` with its whole right answer.

    Args:
        model: whose samples.
        folder: where its model.yaml lies.
        version: of the archive; what a person knows is asked of model.yaml's version only.
        mar: the archive, which is unpacked into the folder ``work``.

    Raises:
        InputError: the model's own answer is not what a person expects.
    """
    if model.reference is None:
        return []
    with unpackable(mar) as archive:
        archive.extractall(work)
    ask = _load(source.resolve(model.reference, folder), model.name)(work)
    prepared = []
    for sample in model.samples:
        body = source.resolve(sample.file, folder).read_bytes()
        right: answer.Json = json.loads(json.dumps(ask(body), allow_nan=False))
        if version == model.version:
            _expect(sample, right, source.mention(f"name: {sample.name}", folder / "model.yaml"))
        prepared.append(
            PreparedSample(
                model=model.name,
                version=version,
                name=sample.name,
                content_type=sample.content_type,
                body=body,
                answer=right,
                tolerance=model.tolerance,
            )
        )
    return prepared


def _load(path: Path, name: str) -> Callable[[Path], Callable[[bytes], object]]:
    spec = importlib.util.spec_from_file_location(f"reference_{name}", path)
    if spec is None or spec.loader is None:
        raise InputError("not a Python file", at=path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    load: Callable[[Path], Callable[[bytes], object]] = module.load
    return load


def _expect(sample: Sample, right: answer.Json, at: Location) -> None:
    if sample.expect is None:
        return
    if mismatch := answer.difference(sample.expect.answer, right, sample.expect.tolerance):
        raise InputError(f"the model does not answer {sample.name} as expected: {mismatch}", at=at)
