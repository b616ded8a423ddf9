"""Correct answers of a model that has no reference: those of a server that runs it already.

models/<name>/recorded.yaml     the samples, next to model.yaml; written here, never by hand
models/<name>/recorded/         their requests, and the pictures that answer them
"""

import datetime
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Barrier
from urllib.parse import quote

import yaml

from harness.core import document, files
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.models import derive
from harness.models.catalog import RECORDED, Model, RecordedSamples, Sample, load_model
from harness.models.expectation import Recorded

ROUNDS = 3
_FEW = 4  # requests: an environment may have larger batches than model.yaml
_MOST_AT_ONCE = 32  # requests: enough to fill a batch, and no load test
_HEAD = """\
# yaml-language-server: $schema=../../schemas/recorded.json
# Written by `harness models record`: answers of a running server, not of a reference.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a file with its content type, and the name that its sample gets."""

    name: str
    path: Path
    content_type: str


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked: a base URL, and headers such as a token's; they are written nowhere."""

    url: str
    headers: Mapping[str, str]
    timeout: float = 150.0  # s for one answer: the gateway gives up after 130

    def ask(self, model: str, body: bytes, content_type: str) -> derive.Answer:
        """One answer, good or not.

        Raises:
            HarnessError: none comes.
        """
        url = f"{self.url.rstrip('/')}/predictions/{quote(model, safe='')}"
        headers = {**self.headers, "Content-Type": content_type}
        request = urllib.request.Request(url, body, headers)  # noqa: S310 - the CLI's own check
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as reply:  # noqa: S310
                return derive.Answer(reply.status, reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return derive.Answer(error.code, error.read())
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise HarnessError(
                f"{url} does not answer: {reason}", hint="`harness serve`, or --url URL"
            ) from error


def sample_name(path: Path) -> str:
    """The sample's name, from that of its file."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-._")
    return name or "sample"


def record(
    repository: Repository, name: str, requests: Sequence[Request], server: Server, rounds: int
) -> list[derive.Derived]:
    """Ask for an answer to each request, many times, and write what the answers agree on.

    Nothing is written unless every request was answered well.

    Raises:
        InputError: there is no such model, a sample of model.yaml has a request's name, a file
            cannot be read, or an answer is an error.
        HarnessError: the server does not answer.
    """
    folder = repository.models / name
    if not (folder / "model.yaml").is_file():
        raise InputError(
            f"there is no models/{name}/model.yaml", hint="`harness help` lists what writes one"
        )
    model = load_model(folder / "model.yaml")
    _refuse_taken_names(model, requests, folder)
    bodies = [_read(request.path) for request in requests]
    at_once = _concurrency(model)
    derived = []
    for request, body in zip(requests, bodies, strict=True):
        answers = _ask(server, name, body, request.content_type, at_once, rounds)
        derived.append(derive.derive(request.name, answers))
    _write(folder, model, requests, bodies, derived, server.url, at_once)
    return derived


def _refuse_taken_names(model: Model, requests: Sequence[Request], folder: Path) -> None:
    written = {each.name for each in model.samples if not each.recorded}
    names = [request.name for request in requests]
    for name in names:
        if name in written or names.count(name) > 1:
            raise InputError(
                f"there is a sample {name} already",
                at=folder / "model.yaml",
                hint="--name gives this one another name",
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error


def _concurrency(model: Model) -> tuple[int, ...]:
    """How many requests are sent at once: one, two, and a full batch or a few."""
    return tuple(sorted({1, 2, min(max(model.serving.batch_size, _FEW), _MOST_AT_ONCE)}))


def _ask(
    server: Server, model: str, body: bytes, content_type: str, at_once: Sequence[int], rounds: int
) -> list[derive.Answer]:
    answers: list[derive.Answer] = []
    with ThreadPoolExecutor(max(at_once)) as pool:
        for number in at_once:
            barrier = Barrier(number)  # so that the server sees them together, as a batch

            def ask(_: int, barrier: Barrier = barrier) -> derive.Answer:
                barrier.wait()
                return server.ask(model, body, content_type)

            for _ in range(rounds):
                answers += pool.map(ask, range(number))
    return answers


def _write(
    folder: Path,
    model: Model,
    requests: Sequence[Request],
    bodies: Sequence[bytes],
    derived: Sequence[derive.Derived],
    url: str,
    at_once: tuple[int, ...],
) -> None:
    path = folder / RECORDED
    earlier = document.load(path, RecordedSamples).samples if path.is_file() else ()
    samples = {sample.name: sample for sample in earlier}
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    for request, body, each in zip(requests, bodies, derived, strict=True):
        expect = each.expectation
        if each.picture is not None:
            picture = f"recorded/{request.name}.answer{each.suffix}"
            files.write(folder / picture, each.picture)
            expect = expect.model_copy(update={"image": picture})
        samples[request.name] = Sample.model_validate(
            {
                "name": request.name,
                "file": _keep(request, body, folder),
                "contentType": request.content_type,
                "expect": expect,
                "recorded": Recorded(
                    url=url,
                    at=now,
                    version=model.version,
                    answers=each.answers,
                    concurrency=at_once,
                ),
            }
        )
    dumped = [
        sample.model_dump(mode="json", by_alias=True, exclude_unset=True)
        for sample in samples.values()
    ]
    text = yaml.safe_dump({"samples": dumped}, sort_keys=False, allow_unicode=True, width=100)
    files.write(path, _HEAD + text)


def _keep(request: Request, body: bytes, folder: Path) -> str:
    """The request's path from model.yaml; it is copied there unless it lies there already."""
    path = request.path.resolve()
    if path.is_relative_to(folder.resolve()):
        return path.relative_to(folder.resolve()).as_posix()
    name = f"recorded/{request.name}{request.path.suffix}"
    files.write(folder / name, body)
    return name


def describe(derived: derive.Derived) -> str:
    """One line about what will be checked of an answer."""
    shown = derived.expectation.model_dump(by_alias=True, exclude_unset=True)
    kinds = ", ".join(
        shown if set(shown) == {"status"} else [key for key in shown if key != "status"]
    )
    return f"{derived.name}: {kinds} · {derived.answers} answers"


def as_json(derived: Sequence[derive.Derived]) -> str:
    """The same for programs."""
    return json.dumps(
        [
            {
                "name": each.name,
                "expect": each.expectation.model_dump(
                    mode="json", by_alias=True, exclude_unset=True
                ),
                "answers": each.answers,
                "varying": list(each.varying),
            }
            for each in derived
        ],
        indent=2,
    )
