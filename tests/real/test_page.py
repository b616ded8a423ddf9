"""What a watched load becomes: a row on disk, a line of the table, a section of the page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real import page, row
from tests.real.load import Answer
from tests.real.watch import Life, Watch, join

_BEGAN = 1_000.0
_FULL = b"""{
  "code": 503,
  "type": "ServiceUnavailableException",
  "message": "Model \\"echo\\" Version \\"1.0\\" has no worker to serve inference request."
}"""


def _watch() -> Watch:
    answers = [Answer(_BEGAN + n / 10, 0.020, "ok") for n in range(100)]
    answers[55] = Answer(_BEGAN + 5.5, 0.001, "failed", "503 b'<full>'")
    answers[56] = Answer(_BEGAN + 5.6, 3.0, "ok")
    lives = [
        Life("old", "node-0", [(_BEGAN, "ready"), (_BEGAN + 6, "leaving")], _BEGAN + 8),
        Life("new", "", [(_BEGAN + 5, "waiting")], _BEGAN + 10),
    ]
    marks = {"a <new> version": (_BEGAN + 5, _BEGAN + 8)}
    return Watch(_BEGAN, marks=marks, answers=answers, lives=lives)


def test_row_comes_back_as_it_was_measured(tmp_path: Path) -> None:
    row.write(tmp_path, row.of("roll", row.OURS, _watch()))
    (measured,) = row.read(tmp_path)
    assert measured.counts == {"requests": 100, "failed": 1, "wrong": 0, "dropped": 0}
    assert (measured.lost, measured.quiet, measured.disturbed) == (1, 20.0, 3000.0)
    assert measured.series[4:6] == [[10, 20.0, 0], [10, 3000.0, 1]]
    assert measured.lives[0] == ["old", "node-0", [[0.0, "ready"], [6.0, "leaving"]], 8.0]


def test_row_without_a_capacity_is_of_before_it_was_measured(tmp_path: Path) -> None:
    row.write(tmp_path, row.of("roll", row.OURS, _watch()))
    (path,) = tmp_path.iterdir()
    before = json.loads(path.read_text())
    del before["capacity"]
    path.write_text(json.dumps(before))
    (line,) = row.cells(row.read(tmp_path))
    assert line[5] == "–"


def test_table_has_the_stock_way_next_to_ours(tmp_path: Path) -> None:
    for kind in (row.STOCK, row.OURS):
        row.write(tmp_path, row.of("never-ready", kind, _watch(), 200.0))
    lines = row.table(row.read(tmp_path)).splitlines()
    assert lines[2:] == [
        (
            "| never ready | HTTP/1.1 | 100 | 1, 0, 0 | 20 → 3,000 ms | 10 of 200/s "
            "| 1 of 100 | 503 <full> | 3,000 ms |"
        )
    ]


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("", "dropped"),
        ("TimeoutError()", "no answer in time"),
        ("503 b'no healthy upstream'", "503 no healthy upstream"),
        (f"503 {_FULL[:80]!r}", "503 ServiceUnavailable"),
        ('14 b"upstream\'s end"', "14 upstream's end"),
        ("EOFError('RST_STREAM 2')", "EOFError('RST_STREAM 2')"),
    ],
)
def test_reason_says_in_short_what_was_answered(detail: str, reason: str) -> None:
    measured = replace(row.of("roll", row.STOCK, _watch()), why={detail: 2})
    assert measured.reasons == [(reason, 2)]


def test_runs_of_the_same_are_joined() -> None:
    first, second = _watch(), _watch()
    joined = join([first, second])
    assert [*joined.marks] == ["run 1", "run 2"]
    assert joined.counts() == {"requests": 200, "failed": 2, "wrong": 0, "dropped": 0}
    assert len(joined.lives) == 4


def test_page_shows_losses_reasons_and_lives(tmp_path: Path) -> None:
    html = page.render([row.of("roll", row.OURS, _watch())])
    assert "1 lost" in html
    assert "1 × 503 &lt;full&gt;" in html
    assert "new on no node yet: waiting, second 5 to 10" in html
    assert "http://" not in html
