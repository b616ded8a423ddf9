"""Prepared requests: the bytes to send and the whole correct answer, as the build left them.

for sample in load_samples(repository, lock)["silero_vad"]:
    body = post(f"/predictions/{sample.model}", sample.body, sample.content_type)
    assert answer.wrong(sample.expected, body) is None
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from harness.core import files
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.models.answer import Expected
from harness.models.lock import Lock

Origin = Literal["reference", "written", "recorded", "status"]
"""Who knows an answer: the model itself, called directly; a person; a server that was asked.
For ``status`` nobody does: a request of a load profile of which only the status is expected."""


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """A request to one version of a model, and its correct answer.

    Attributes:
        origin: who knows the answer.
        recorded: when and of which server, if it was recorded.
    """

    model: str
    version: str
    name: str
    content_type: str
    body: bytes
    expected: Expected
    origin: Origin = "written"
    recorded: str = ""


def load_samples(repository: Repository, lock: Lock) -> Mapping[str, tuple[PreparedSample, ...]]:
    """The requests for every model in ``lock``, by model; none for an adopted archive.

    Those for another version than the model's own are under ``model/version``, as in TorchServe's
    paths; of such a version perhaps no answer is known.

    Raises:
        HarnessError: nothing is prepared for a model or its version.
    """
    prepared = {
        name: _load(folder(repository, name, locked.version), name, locked.version)
        for name, locked in lock.models.items()
    }
    for name, locked in lock.models.items():
        for other in locked.others:
            path = folder(repository, name, other.version)
            known = _load(path, name, other.version) if path.is_dir() else ()
            prepared[f"{name}/{other.version}"] = known
    return prepared


def folder(repository: Repository, model: str, version: str) -> Path:
    """Where the samples of one version of a model lie."""
    return repository.built_models / "samples" / model / quote(version, safe="")


def write_samples(into: Path, samples: Sequence[PreparedSample]) -> None:
    """Leave these samples, and no others, in a folder: NAME, the body, and NAME.json for each."""
    into.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes] = {}
    for sample in samples:
        about = {
            "contentType": sample.content_type,
            "expected": sample.expected.model_dump(mode="json"),
            "origin": sample.origin,
            "recorded": sample.recorded,
        }
        contents[sample.name] = sample.body
        contents[f"{sample.name}.json"] = json.dumps(about, indent=2, allow_nan=False).encode()
    for name, content in contents.items():
        files.write(into / name, content)
    for path in into.iterdir():
        if path.name not in contents:
            path.unlink()


def _load(prepared: Path, model: str, version: str) -> tuple[PreparedSample, ...]:
    if not prepared.is_dir():
        have = ", ".join(sorted(path.name for path in prepared.parent.glob("*"))) or "nothing"
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
            expected=Expected.model_validate_json(json.dumps(about["expected"])),
            origin=about["origin"],
            recorded=about["recorded"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"not a prepared sample: {error}", at=path, hint="run `harness models build --rebuild`"
        ) from error
