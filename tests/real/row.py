"""One scenario under load as a row of the tables: kept on disk, so that rows can be run one by one.

    python -m tests.real.row build/e2e-load/rows

prints the table of a folder of rows. Everything in it was measured by the run that wrote the row.
"""

import datetime
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.e2e.timeline import LOAD
from tests.real.load import Answer
from tests.real.watch import Life, Watch, p99

FOLDER = Path("build/e2e-load/rows")
OURS, STOCK = "ours", "stock"


@dataclass(frozen=True, slots=True)
class Row:
    """What one run of a scenario measured.

    Attributes:
        scenario: its name.
        kind: ours or stock.
        client: http1, http2 or grpc.
        date: of the run.
        busy: the machine's load average when it ended: two cores are busy from 2 on.
        seconds: from the first request to the last.
        counts: requests, failed, wrong, dropped.
        quiet: p99 while nothing was done, in milliseconds.
        disturbed: p99 while something was done, likewise.
        marks: what was done, from which second to which.
        why: how often which failure.
        series: for each second, requests, p99 in milliseconds, and how many were lost.
        lives: the pods': name, node, (second, phase) and the last second.
    """

    scenario: str
    kind: str
    client: str
    date: str
    busy: float
    seconds: float
    counts: dict[str, int]
    quiet: float
    disturbed: float
    marks: dict[str, tuple[float, float]]
    why: dict[str, int]
    series: list[tuple[int, float, int]]
    lives: list[tuple[str, str, list[tuple[float, str]], float]]

    @property
    def lost(self) -> int:
        """Requests that failed, were answered wrongly or were never sent."""
        return sum(self.counts[key] for key in LOAD[1:])


def of(scenario: str, kind: str, watch: Watch) -> Row:
    """The row that a watch makes."""
    last = max((each.due for each in watch.answers), default=watch.began)
    return Row(
        scenario=scenario,
        kind=kind,
        client=watch.client,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        busy=round(os.getloadavg()[1], 1),
        seconds=round(last - watch.began, 1),
        counts=watch.counts(),
        quiet=watch.p99(disturbed=False),
        disturbed=watch.p99(disturbed=True),
        marks={
            what: (round(a - watch.began, 1), round(b - watch.began, 1))
            for what, (a, b) in watch.marks.items()
        },
        why=watch.why(),
        series=[*_series(watch)],
        lives=[_life(each, watch.began) for each in watch.lives],
    )


def _series(watch: Watch) -> Iterator[tuple[int, float, int]]:
    seconds: dict[int, list[Answer]] = {}
    for each in watch.answers:
        seconds.setdefault(int(each.due - watch.began), []).append(each)
    for second in range(max(seconds, default=-1) + 1):
        answers = seconds.get(second, [])
        lost = sum(each.outcome != "ok" for each in answers)
        yield len(answers), p99(answers), lost


def _life(life: Life, began: float) -> tuple[str, str, list[tuple[float, str]], float]:
    phases = [(round(when - began, 1), phase) for when, phase in life.phases]
    return life.name, life.node, phases, round(life.last - began, 1)


def write(folder: Path, row: Row) -> None:
    """Keep a row; an earlier run's is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{row.scenario}-{row.kind}.json"
    path.write_text(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def read(folder: Path) -> list[Row]:
    """The rows of a folder, ours first, by name."""
    rows = [Row(**json.loads(path.read_text())) for path in folder.glob("*.json")]
    return sorted(rows, key=lambda each: (each.kind, each.scenario))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown: ours, and what the stock way lost in the same scenario."""
    head = (
        "| scenario | client | requests | lost | p99 quiet → during, ms | stock: requests | lost |"
    )
    stock = {each.scenario: each for each in rows if each.kind == STOCK}
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in rows:
        if row.kind == OURS:
            other = stock.get(row.scenario)
            theirs = f"{other.counts['requests']:,} | {other.lost:,}" if other else " | "
            lines.append(
                f"| {row.scenario.replace('-', ' ')} | {row.client} | {row.counts['requests']:,} |"
                f" {row.lost:,} | {row.quiet:,.0f} → {row.disturbed:,.0f} | {theirs} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table(read(Path(sys.argv[1]))) + "\n")
