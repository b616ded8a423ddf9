"""A model's reference.py, called: in this process, or in one of another environment.

    python -m harness.models.reference_process reference.py toy unpacked/ answers.json request…

With the standard library alone: an image set's environment has nothing of the harness. What fails
is reported as in this process: the file, its line, the reader's own frames.
"""

import base64
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness import set_environment
from harness.core import command
from harness.core.errors import HarnessError, InputError, Location
from harness.models import user_code

_TIMEOUT = 3_600.0  # s: a large model on a CPU, for each of its samples
_MODULE = "harness.models.reference_process"


def answers(path: Path, name: str, work: Path, bodies: Iterable[bytes]) -> Iterator[Any]:
    """What a reference answers: JSON values or bytes.

    Args:
        path: the reference.py.
        name: of the model, for headlines.
        work: the folder of the unpacked archive.
        bodies: the requests.

    Raises:
        InputError: it failed, or answers something else.
    """
    module = user_code.load_module(path, f"reference_{name}")
    load = user_code.function_of(module, "load")
    subject = f"the reference of {name}"
    with user_code.calling(path, f"{subject} failed"):
        ask: Callable[[bytes], object] = load(work)
    for body in bodies:
        with user_code.calling(path, f"{subject} failed"):
            right = ask(body)
        if isinstance(right, bytes):
            yield right
            continue
        try:
            yield json.loads(json.dumps(right, allow_nan=False))
        except (TypeError, ValueError) as error:
            message = f"{subject} gives what is neither JSON nor bytes: {error}"
            raise InputError(message, at=path) from error


def ask(python: Path, path: Path, name: str, work: Path, bodies: Sequence[bytes]) -> list[Any]:
    """As ``answers``, by another interpreter.

    Raises:
        InputError: it failed, or answers something else.
        HarnessError: its process ended without an answer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch, "answers.json")
        requests = [Path(scratch, str(number)) for number in range(len(bodies))]
        for request, body in zip(requests, bodies, strict=True):
            request.write_bytes(body)
        words = set_environment.words(python, _MODULE)
        command.run([*words, path, name, work, output, *requests], timeout=_TIMEOUT)
        if not output.is_file():
            raise HarnessError(f"the reference of {name} ended its process", at=path)
        outcome = json.loads(output.read_text())
    if "error" in outcome:
        error = outcome["error"]
        at = Location(Path(error["path"]), error["line"]) if error["path"] else None
        raise InputError(error["message"], at=at, hint=error["hint"])
    return [base64.b64decode(body) if is_bytes else body for is_bytes, body in outcome["answers"]]


def _main() -> None:
    path, name, work, output, *requests = sys.argv[1:]
    outcome: dict[str, object]
    try:
        rights = answers(
            Path(path), name, Path(work), (Path(each).read_bytes() for each in requests)
        )
        outcome = {
            "answers": [
                [True, base64.b64encode(each).decode()]
                if isinstance(each, bytes)
                else [False, each]
                for each in rights
            ]
        }
    except InputError as error:
        at = error.at
        place = {"path": str(at.path) if at else "", "line": at.line if at else None}
        outcome = {"error": {"message": error.message, "hint": error.hint, **place}}
    Path(output).write_text(json.dumps(outcome))


if __name__ == "__main__":
    _main()
