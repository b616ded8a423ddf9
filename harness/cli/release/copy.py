"""``harness release copy``: copies what a release needs to another environment."""

import argparse
import dataclasses
import json

from harness.cli import options, tools
from harness.cli.release.observe import source_state
from harness.core.repository import find as find_repository
from harness.promotion import copy
from harness.settings import site


def register(parser: argparse.ArgumentParser) -> None:
    options.add_route(parser)
    parser.add_argument(
        "--commit", default="", help="commit of the release (default: what the source runs)"
    )
    options.add_source_state(parser)
    options.add_context(parser, "the source's cluster")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Copy what is missing, and list all parts."""
    repository = find_repository()
    site.aws(repository, args.target).confirm_account()
    tools.set_up(repository)
    commit = args.commit or source_state(repository, args).commit
    parts = list(copy.copy(repository, args.source, args.target, commit))
    if args.json:
        print(json.dumps([dataclasses.asdict(each) for each in parts], indent=2))
    else:
        print(
            "\n".join(
                f"{'copied         ' if each.new else 'already present'} {each.what}"
                for each in parts
            )
        )
    return 0
