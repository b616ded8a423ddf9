"""What a run on a GPU has shown: as JSON, and as a page of Markdown."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from bench import Figure
from bench.gpu.steps import Result
from harness.core import files


def write(folder: Path, results: Sequence[Result]) -> None:
    """Write report.json and report.md."""
    records = [dataclasses.asdict(result) for result in results]
    files.write(folder / "report.json", json.dumps(records, indent=2) + "\n")
    files.write(folder / "report.md", _markdown(results))


def figures(results: Sequence[Result]) -> list[Figure]:
    """What `make bench` keeps of it."""
    return [
        Figure(name, round(value, 2), name.rpartition(" ")[2])
        for result in results
        for name, value in result.figures.items()
    ]


def _markdown(results: Sequence[Result]) -> str:
    lines = ["# On a GPU", ""]
    for result in results:
        lines += [f"## {'✓' if result.passed else '✗'} {result.step}", ""]
        lines += [f"- {note}" for note in result.notes]
        lines += [f"- {name}: {value:.1f}" for name, value in result.figures.items()]
        lines.append("")
    return "\n".join(lines)
