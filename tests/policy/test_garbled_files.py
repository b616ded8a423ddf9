"""Whatever has happened to a file, check says it: as JSON, with a place, in words of its own."""

import contextlib
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from tests.support import variation

SAMPLE = 12  # of the files, each harmed in one way: another seed is another sample
SEED = 20_261_129
# Words of kustomize, helm, pydantic, PyYAML and Python that say nothing to who wrote the file.
RAW = re.compile(
    r"Traceback|Value error|Input should|Field required|--debug|accumulat|must build at"
    r"|could not determine a constructor|unmarshal|NoneType|has no attribute|<unicode string>"
)


def _nothing(path: Path) -> None:
    path.write_text("")


def _half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _without_colons(path: Path) -> None:
    path.write_text(path.read_text().replace(": ", " ", 5))


def _a_list(path: Path) -> None:
    path.write_text("- a\n- b: [1, 2]\n")


def _a_number(path: Path) -> None:
    path.write_text("5\n")


def _not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" + path.read_bytes())


def _unfinished(path: Path) -> None:
    path.write_text(f'{path.read_text()}\nbroken: "never closed\n')


HARMS = (Path.unlink, _nothing, _half, _without_colons, _a_list, _a_number, _not_text, _unfinished)


def _harmed() -> list[tuple[str, Callable[[Path], None]]]:
    files = [
        str(path.relative_to(variation.ROOT))
        for folder in ("apps", "clusters", "infra", "models")
        for path in sorted((variation.ROOT / folder).rglob("*.yaml"))
    ]
    rng = random.Random(SEED)  # noqa: S311
    return [(name, rng.choice(HARMS)) for name in rng.sample(["exceptions.yaml", *files], SAMPLE)]


@pytest.mark.parametrize(
    ("name", "harm"),
    _harmed(),
    ids=lambda each: each if isinstance(each, str) else each.__name__.strip("_"),
)
def test_a_garbled_file_is_a_finding_and_no_crash(
    name: str,
    harm: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    variation.copy(tmp_path)
    harm(tmp_path / name)

    with contextlib.chdir(tmp_path):
        code = cli.main(["check", "--format", "json"])

    printed = capsys.readouterr().out
    answer = json.loads(printed)
    assert code in (0, 1)
    assert answer.get("findings") or answer.get("error") or code == 0
    assert str(tmp_path) not in printed
    assert not RAW.search(printed), RAW.findall(printed)
