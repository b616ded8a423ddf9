"""What a watched load becomes: a row on disk, a line of the table, a section of the page."""

from pathlib import Path

from tests.real import page, row
from tests.real.load import Answer
from tests.real.watch import Life, Watch

_BEGAN = 1_000.0


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


def test_table_has_the_stock_way_next_to_ours(tmp_path: Path) -> None:
    for kind in (row.STOCK, row.OURS):
        row.write(tmp_path, row.of("never-ready", kind, _watch()))
    lines = row.table(row.read(tmp_path)).splitlines()
    assert lines[2:] == ["| never ready | http1 | 100 | 1 | 20 → 3,000 | 100 | 1 |"]


def test_page_shows_losses_reasons_and_lives(tmp_path: Path) -> None:
    html = page.render([row.of("roll", row.OURS, _watch())])
    assert "1 lost" in html
    assert "1 × 503 b&#x27;&lt;full&gt;&#x27;" in html
    assert "new on no node yet: waiting, second 5 to 10" in html
    assert "http://" not in html
