"""``harness diff``: what a change does to an environment, rendered, the dangerous first."""

import argparse
import json

from harness.cli import tools
from harness.core import repository
from harness.render import diff
from harness.render.renderer import Renderer


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help="a folder of clusters/")
    parser.add_argument("--from", dest="old", metavar="COMMIT", default="HEAD", help="before")
    parser.add_argument("--to", dest="new", metavar="COMMIT", help="after; the working tree")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the difference. It judges nothing, so it succeeds."""
    here = repository.find()
    tools.set_up(here)
    renderer = Renderer(here)
    old = renderer.at(args.env, args.old)
    new = renderer.at(args.env, args.new) if args.new else renderer.candidate(args.env)
    if args.json:
        print(json.dumps(diff.as_data(old, new), indent=2, default=str))
    else:
        print(diff.as_markdown(old, new))
    return 0
