"""``harness tools``: the programs, schemas and charts that check needs, built or fetched once."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import tools
from harness.core import console, repository
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.render import remote_charts
from harness.render.renderer import Renderer
from harness.schema import catalog


def register(parser: argparse.ArgumentParser) -> None:
    """Add the programs that are wanted alone."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"only these: {', '.join(tools.TOOLS | tools.LINTERS | tools.AUDIT)}",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build what is missing and say where everything lies."""
    here = repository.find()
    if args.names:
        paths = {name: str(_named(here, name)) for name in args.names}
        tools.trim(here)
    else:
        paths = {name: str(path) for name, path in set_up(here).items()}
        paths |= {str(chart): str(path) for chart, path in _charts(here).items()}
    if args.json:
        print(json.dumps(paths, indent=2))
    else:
        for name, path in paths.items():
            print(f"{name:12} {path}")
    return 0


def set_up(here: Repository) -> dict[str, Path]:
    """Every program and the schemas; where they had to be built, nothing else is left of it."""
    missing = not all(tools.built(here, name) for name in tools.TOOLS)
    paths = {name: tools.find(here, name) for name in tools.TOOLS}
    paths["schemas"] = catalog.find(here)
    if missing:
        tools.trim(here)
    return paths


def _named(here: Repository, name: str) -> Path:
    known = tools.TOOLS | tools.LINTERS | tools.AUDIT
    if name not in known:
        raise UsageError(f"no program {name!r}", hint=f"one of: {', '.join(known)}")
    return tools.find(here, name)


def _charts(here: Repository) -> dict[remote_charts.RemoteChart, Path]:
    """The remote charts that are on this machine now; one that cannot be fetched is only noted."""
    renderer = Renderer(here)
    environments = [renderer.candidate(name) for name in renderer.environments()]
    charts = list(dict.fromkeys(chart for each in environments for chart in each.remote_charts))
    with ThreadPoolExecutor() as pool:
        for chart, why in zip(
            charts, pool.map(lambda it: remote_charts.fetch(here, it), charts), strict=True
        ):
            if why:
                console.note(f"not fetched: {chart} ({why})")
    return {chart: path for chart in charts if (path := chart.copy(here))}
