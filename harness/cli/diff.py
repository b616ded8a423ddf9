"""``harness diff``: rendered changes of an environment, dangerous ones first."""

import argparse
import json

from harness.cli import options, tools
from harness.core.repository import find as find_repository
from harness.render import diff
from harness.render.renderer import Renderer


def register(parser: argparse.ArgumentParser) -> None:
    options.add_env(parser)
    parser.add_argument(
        "--from",
        dest="old",
        metavar="COMMIT",
        default="HEAD",
        help="commit before the change (default: HEAD)",
    )
    parser.add_argument(
        "--to",
        dest="new",
        metavar="COMMIT",
        help="commit after the change (default: the working tree)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the difference; it evaluates nothing, so it succeeds."""
    repository = find_repository()
    repository.cluster(args.env)
    tools.set_up(repository)
    renderer = Renderer(repository)
    old = renderer.at(args.env, args.old)
    new = renderer.at(args.env, args.new) if args.new else renderer.candidate(args.env)
    if args.json:
        print(json.dumps(diff.as_data(old, new), indent=2, default=str))
    else:
        print(diff.as_markdown(old, new))
    return 0
