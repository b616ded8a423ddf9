"""Prepared requests: the bytes to send and the whole right answer, as the build left them.

for sample in load_samples(repository, lock)["silero_vad"]:
    body = post(f"/predictions/{sample.model}", sample.body, sample.content_type)
    assert answer.wrong(sample, body) is None
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core import files
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.models.answer import Json
from harness.models.catalog import Tolerance
from harness.models.lock import Lock


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """A request to one version of a model, and its right answer."""

    model: str
    version: str
    name: str
    content_type: str
    body: bytes
    answer: Json
    tolerance: Tolerance


def load_samples(repository: Repository, lock: Lock) -> Mapping[str, tuple[PreparedSample, ...]]:
    """The requests for every model in ``lock``, by model; none for an adopted archive.

    Raises:
        HarnessError: nothing is prepared for a model or its version.
    """
    return {
        name: _load(repository.built_models / "samples" / name, name, locked.version)
        for name, locked in lock.models.items()
    }


def write_samples(folder: Path, samples: Sequence[PreparedSample]) -> None:
    """Leave the samples of one model in ``folder``: a body and a .json for each."""
    for sample in samples:
        files.write(folder / sample.version / sample.name, sample.body)
        about = {
            "contentType": sample.content_type,
            "answer": sample.answer,
            "tolerance": sample.tolerance.model_dump(),
        }
        text = json.dumps(about, indent=2, allow_nan=False)
        files.write(folder / sample.version / f"{sample.name}.json", f"{text}\n")


def _load(folder: Path, model: str, version: str) -> tuple[PreparedSample, ...]:
    prepared = folder / version
    if not prepared.is_dir():
        have = ", ".join(sorted(path.name for path in folder.glob("*"))) or "nothing"
        raise HarnessError(
            f"no reference answers for {model} {version} (built here: {have})",
            hint="run `harness models build`",
        )
    return tuple(_read(path, model, version) for path in sorted(prepared.glob("*.json")))


def _read(path: Path, model: str, version: str) -> PreparedSample:
    try:
        about = json.loads(path.read_bytes())
        return PreparedSample(
            model=model,
            version=version,
            name=path.stem,
            content_type=about["contentType"],
            body=path.with_suffix("").read_bytes(),
            answer=about["answer"],
            tolerance=Tolerance(**about["tolerance"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"not a prepared sample: {error}", at=path, hint="run `harness models build --rebuild`"
        ) from error
