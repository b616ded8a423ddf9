"""Since when a cluster has been what it is: the histories of Kustomizations."""

import datetime

from harness.promotion import running

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
    return round((max(running._settled(list(history))) - T).total_seconds() / 60)


def test_one_entry_counts_from_its_first_moment() -> None:
    assert since(entry(0, 600)) == 0


def test_upgrade_begins_anew() -> None:
    assert since(entry(60, 600), entry(0, 50)) == 60


def test_what_came_back_counts_from_when_the_other_was_seen_last() -> None:
    assert since(entry(0, 600), entry(60, 120)) == 120


def test_failure_in_between_begins_anew() -> None:
    assert since(entry(0, 600), entry(300, 310), entry(-60, -5)) == 310
