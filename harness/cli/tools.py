"""``harness tools``: the programs, schemas and charts that check needs, built or fetched once."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness import programs, tools
from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.policy.recorded import charts
from harness.render import remote_charts
from harness.render.renderer import Renderer
from harness.schema import catalog


def register(parser: argparse.ArgumentParser) -> None:
    """Add which programs."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "names",
        nargs="*",
        default=[],
        metavar="NAME",
        help=f"programs: {', '.join(programs.ALL)} (default: what check needs)",
    )
    which.add_argument(
        "--cluster", action="store_true", help="the programs that `harness cluster up` needs"
    )
    which.add_argument(
        "--node", action="store_true", help="the programs that `harness cluster up --real` adds"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build what is missing, and print where everything is."""
    repository = find_repository()
    several = {"cluster": (*programs.CLUSTER, *programs.RELEASE), "node": tuple(programs.NODE)}
    chosen = next((name for name in several if getattr(args, name)), "")
    if names := several.get(chosen, args.names):
        paths = {name: str(_find(repository, name)) for name in names}
        tools.trim(repository)
    else:
        paths = {name: str(path) for name, path in set_up(repository).items()}
        paths |= {str(chart): str(path) for chart, path in _charts(repository).items()}
    if args.json:
        print(json.dumps(paths, indent=2))
    else:
        for name, path in paths.items():
            print(f"{name:12} {path}")
    return 0


def _fetch(repository: Repository, chart: remote_charts.RemoteChart) -> str | None:
    """Fetch a chart; of the version that is recorded its archive has to be the recorded one."""
    record = charts.load(repository, chart.chart)
    digest = record.digest if record and record.is_of(chart.version) else ""
    return remote_charts.fetch(repository, chart, digest)


def set_up(repository: Repository) -> dict[str, Path]:
    """Return the paths of the programs and schemas; building leaves nothing else behind."""
    missing = not all(tools.is_built(repository, name) for name in programs.TOOLS)
    paths = {name: tools.find(repository, name) for name in programs.TOOLS}
    paths["schemas"] = catalog.find(repository)
    if missing:
        tools.trim(repository)
    return paths


def _find(repository: Repository, name: str) -> Path:
    if name not in programs.ALL:
        raise UsageError(f"no program {name!r}", hint=f"one of: {', '.join(programs.ALL)}")
    return tools.find(repository, name)


def _charts(repository: Repository) -> dict[remote_charts.RemoteChart, Path]:
    """Return the third-party charts that are here; one that cannot be fetched is only noted."""
    renderer = Renderer(repository)
    environments = [renderer.candidate(name) for name in renderer.environments()]
    remote = list(dict.fromkeys(chart for each in environments for chart in each.remote_charts))
    with ThreadPoolExecutor() as pool:
        for chart, why in zip(
            remote, pool.map(lambda it: _fetch(repository, it), remote), strict=True
        ):
            if why:
                console.note(f"not fetched: {chart} ({why})")
    return {chart: path for chart in remote if (path := chart.copy(repository))}
