"""Runs every benchmark, or the ones named: ``python -m bench loadtest``."""

import dataclasses
import importlib
import json
import pkgutil
import sys
from pathlib import Path

import bench
from harness.core import console, files


def main(names: list[str]) -> int:
    """Run the named modules of this package (all without a name) and write the report."""
    known = [module.name for module in pkgutil.iter_modules(bench.__path__)]
    chosen = names or [name for name in sorted(known) if name != "__main__"]
    figures: list[bench.Figure] = []
    for name in chosen:
        with console.step(f"bench {name}"):
            figures += importlib.import_module(f"bench.{name}").run()
    report = [dataclasses.asdict(figure) for figure in figures]
    files.write(Path("build/bench/report.json"), json.dumps(report, indent=2) + "\n")
    for figure in figures:
        beside = f"   {figure.peer} {figure.peer_value:g}" if figure.peer_value is not None else ""
        print(f"{figure.name}: {figure.value:g} {figure.unit}{beside}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
