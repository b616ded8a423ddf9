"""``harness release copy``: brings what a release needs to another environment."""

import argparse
import dataclasses
import json
from pathlib import Path

from harness import site
from harness.cli import tools
from harness.cli.promote import seen
from harness.core import repository
from harness.promotion import copy


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["copy"], help="archives by SHA-256, image by digest")
    parser.add_argument("--from", dest="source", default="staging", help="where it is (staging)")
    parser.add_argument("--to", dest="target", default="production", help="(production)")
    parser.add_argument("--commit", default="", help="which release; what the source runs")
    parser.add_argument("--seen", type=Path, metavar="FILE", help="what `promote --look` wrote")
    parser.add_argument("--context", help="the source's cluster, of KUBECONFIG")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Copy what is missing, and say what was."""
    here = repository.find()
    site.aws(here, args.target).confirm_account()
    tools.set_up(here)
    commit = args.commit or seen(here, args).commit
    done = list(copy.copy(here, args.source, args.target, commit))
    if args.json:
        print(json.dumps([dataclasses.asdict(each) for each in done], indent=2))
    else:
        print("\n".join(f"{'copied   ' if each.new else 'was there'} {each.what}" for each in done))
    return 0
