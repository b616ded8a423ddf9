"""``harness tools``: the external programs and schemas that check needs, built once."""

import argparse
import json
from pathlib import Path

from harness import tools
from harness.core import repository
from harness.core.repository import Repository
from harness.schema import catalog


def register(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose: the pins in tools/ say it all."""
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build what is missing and say where everything lies."""
    paths = {name: str(path) for name, path in set_up(repository.find()).items()}
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
