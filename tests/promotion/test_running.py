"""Since when a cluster has been what it is: the histories of Kustomizations."""

import datetime
import json
from pathlib import Path

from harness.promotion import running
from harness.promotion.running import Running
from tests.promotion import cases

T = datetime.datetime(2026, 11, 26, 12, tzinfo=datetime.UTC)


def entry(first: int, last: int) -> dict[str, str]:
    """An entry of status.history, in minutes after T."""
    times = {"firstReconciled": first, "lastReconciled": last}
    return {
        key: (T + datetime.timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
        for key, minutes in times.items()
    }


def since(*history: dict[str, str]) -> int:
    """Minutes after T."""
    return round((max(running._changes(list(history))) - T).total_seconds() / 60)


def test_one_entry_counts_from_its_first_moment() -> None:
    assert since(entry(0, 600)) == 0


def test_upgrade_begins_anew() -> None:
    assert since(entry(60, 600), entry(0, 50)) == 60


def test_what_came_back_counts_from_when_the_other_was_seen_last() -> None:
    assert since(entry(0, 600), entry(60, 120)) == 120


def test_failure_in_between_begins_anew() -> None:
    assert since(entry(0, 600), entry(300, 310), entry(-60, -5)) == 310


def test_what_was_seen_is_read_as_it_was_written(tmp_path: Path) -> None:
    state, path = cases.running(disturbances=(cases.oom_killed(3),)), tmp_path / "seen.json"
    running.write(state, path)
    assert running.read(path) == state


def test_what_an_older_harness_wrote_says_nothing_of_pods(tmp_path: Path) -> None:
    path = tmp_path / "seen.json"
    running.write(cases.running(), path)
    written = json.loads(path.read_text())
    del written["disturbances"]
    path.write_text(json.dumps(written))
    assert running.read(path).disturbances is None


def test_soak_counts_from_the_last_that_failed() -> None:
    def since(*hours: float) -> Running:
        return cases.running(disturbances=tuple(map(cases.oom_killed, hours)))

    assert since().steady_since == cases.hours_ago(30)
    assert since(4, 9).steady_since == cases.hours_ago(4)
