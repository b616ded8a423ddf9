"""``harness tools``: the external programs and schemas that check needs, built once."""

import argparse
import json

from harness import tools
from harness.core import repository
from harness.schema import catalog


def register(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose: the pins in tools/ say it all."""
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build what is missing and say where everything lies."""
    here = repository.find()
    paths = {name: str(tools.find(here, name)) for name in tools.TOOLS}
    paths["schemas"] = str(catalog.find(here))
    tools.trim(here)
    if args.json:
        print(json.dumps(paths, indent=2))
    else:
        for name, path in paths.items():
            print(f"{name:12} {path}")
    return 0
