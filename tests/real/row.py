"""One scenario under load as a row of the tables: kept on disk, so that rows can be run one by one.

    python -m tests.real.row build/e2e-load/rows

prints the table of a folder of rows. Everything in it was measured by the run that wrote the row.
"""

import datetime
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.e2e.timeline import LOAD
from tests.real.load import Answer
from tests.real.watch import Life, Watch, p99

FOLDER = Path("build/e2e-load/rows")
OURS, STOCK = "ours", "stock"
_CLIENTS = {"http1": "HTTP/1.1", "http2": "HTTP/2", "grpc": "gRPC"}
_ANSWER = re.compile(r"""(?:(?P<status>\d+) )?b(['"])(?P<text>.*)\2""", re.DOTALL)
_KIND = re.compile(r'"type": "(\w+?)(?:Exception)?"')  # as TorchServe says it
_WORDS = {"TimeoutError()": "no answer in time", "": "dropped"}
_MOST = 60  # letters of a reason


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
        capacity: correct answers a second of one pod, before the load; 0: not measured.
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
    capacity: float = 0.0

    @property
    def lost(self) -> int:
        """Requests that failed, were answered wrongly or were never sent."""
        return sum(self.counts[key] for key in LOAD[1:])

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why requests were lost, in a few words, and how many; most of them first."""
        count: Counter[str] = Counter()
        for detail, lost in self.why.items():
            count[_in_short(detail)] += lost
        return count.most_common()


def _in_short(detail: str) -> str:
    """What the detail of a failure says, without what only programs read."""
    if match := _ANSWER.fullmatch(detail):
        kind = _KIND.search(match["text"])
        detail = f"{match['status'] or ''} {kind[1] if kind else match['text']}".strip()
    return _WORDS.get(detail, detail)[:_MOST]


def of(scenario: str, kind: str, watch: Watch, capacity: float = 0.0) -> Row:
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
        capacity=capacity,
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


HEAD = (
    "scenario",
    "client",
    "requests",
    "failed, wrong, dropped",
    "p99 quiet → during",
    "of a pod's capacity",
    "stock lost",
    "mainly",
    "stock p99",
)


def cells(rows: Sequence[Row]) -> Iterator[list[str]]:
    """A line for each scenario, under ``HEAD``; a dash is not measured."""
    by_key = {(each.scenario, each.kind): each for each in rows}
    for scenario in sorted({each.scenario for each in rows}):
        ours, stock = (by_key.get((scenario, kind)) for kind in (OURS, STOCK))
        client = _CLIENTS.get(next(each.client for each in (ours, stock) if each), "")
        yield [scenario.replace("-", " "), client, *_of_ours(ours), *_of_stock(stock)]


def _of_ours(row: Row | None) -> list[str]:
    if not row:
        return ["–"] * 4
    load = row.counts["requests"] / row.seconds
    return [
        f"{row.counts['requests']:,}",
        ", ".join(f"{row.counts[key]:,}" for key in LOAD[1:]),
        f"{row.quiet:,.0f} → {row.disturbed:,.0f} ms",
        f"{load:,.0f} of {row.capacity:,.0f}/s" if row.capacity else "–",
    ]


def _of_stock(row: Row | None) -> list[str]:
    if not row:
        return ["–"] * 3
    reason = row.reasons[0][0] if row.reasons else ""
    lost = f"{row.lost:,} of {row.counts['requests']:,}"
    return [lost, reason, f"{row.disturbed:,.0f} ms"]


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    lines = [list(HEAD), ["---"] * len(HEAD), *cells(rows)]
    return "\n".join(f"| {' | '.join(each.replace('|', '/') for each in line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(table(read(Path(sys.argv[1]))) + "\n")
