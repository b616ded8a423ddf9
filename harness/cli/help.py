"""``harness help``: help on one command, or a list of all of them."""

import argparse
import json
from dataclasses import asdict

from harness.cli import commands
from harness.cli.parser import build
from harness.core.errors import UsageError


def register(parser: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="COMMAND",
        help="command and action, such as `models build` (default: the overview)",
    )
    parser.add_argument(
        "--all", action="store_true", help="list every command with its actions, plumbing too"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    verbs = {name: asdict(verb) for name, verb in commands.VERBS.items()}
    if args.words:
        page = _page(*args.words)
        verbs = {args.words[0]: verbs[args.words[0]]}
    else:
        page = commands.overview(everything=args.all)
    print(json.dumps(verbs, indent=2) if args.json else page)
    return 0


def _page(name: str, action: str = "", *_: str) -> str:
    verb = commands.VERBS.get(name)
    if verb is None or (action and action not in verb.actions):
        raise UsageError(f"no command {f'{name} {action}'.strip()!r}", hint="harness help --all")
    if verb.actions and not action:
        return commands.group_page(name)
    return build(name, action).format_help().rstrip()
