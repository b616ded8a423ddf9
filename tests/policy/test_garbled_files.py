"""Whatever has happened to a file, check says it: as JSON, with a place, in words of its own."""

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cli
from tests.support import variation

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


def _with_open_quote(path: Path) -> None:
    path.write_text(f'{path.read_text()}\nbroken: "never closed\n')


CASES: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("apps/torchserve/chart/ci/bent-values.yaml", _half),
    ("apps/torchserve/chart/templates/poddisruptionbudget.yaml", Path.unlink),
    ("apps/torchserve/chart/values.yaml", _a_number),
    ("apps/torchserve/staging/torchserve/httproute.yaml", _a_list),
    ("apps/torchserve/staging/torchserve/model-files.yaml", Path.unlink),
    ("clusters/local/kustomization.yaml", _nothing),
    ("clusters/production/loadtest.yaml", _without_colons),
    ("clusters/staging/flux-system/alert.yaml", _without_colons),
    ("clusters/staging/flux-system/kustomization.yaml", Path.unlink),
    ("exceptions.yaml", _with_open_quote),
    ("infra/gateway/configs/grpcroute.yaml", _not_text),
    ("infra/nvidia/dcgm-exporter.yaml", _with_open_quote),
    ("models/silero_vad/model.yaml", _without_colons),
)


@pytest.mark.parametrize(
    ("name", "harm"),
    CASES,
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
