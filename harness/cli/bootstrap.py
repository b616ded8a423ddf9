"""``harness bootstrap``: from an empty AWS account to the first reconciliation, and back."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from harness.bootstrap.down import DOWN
from harness.bootstrap.installation import Installation, of
from harness.bootstrap.step import Row, Step, apply, format_progress, format_rows, plan
from harness.bootstrap.steps import STEPS
from harness.cli import options
from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository

_TOKEN = "GIT_TOKEN"  # noqa: S105 (a variable's name)


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    options.add_shared_env(parser)
    if action == "apply":
        parser.add_argument(
            "--token-stdin",
            action="store_true",
            help=f"read the Git server's token from standard input (default: from {_TOKEN}; "
            "a GIT_URL that begins with ssh:// needs none)",
        )
    if action == "destroy":
        parser.add_argument("--yes", action="store_true", help="remove without asking")
        parser.add_argument(
            "--with-data", action="store_true", help="remove images, archives and evidence, too"
        )
    parser.set_defaults(run=_run, action=action)


def _run(args: argparse.Namespace) -> int:
    installation = of(
        find_repository(),
        args.env,
        action=args.action,
        token=_read_token(from_stdin=getattr(args, "token_stdin", False)),
        with_data=getattr(args, "with_data", False),
    )
    if args.action == "plan":
        rows = plan(STEPS, installation)
        _show(args, rows, format_rows(rows))
    elif args.action == "apply":
        rows = _apply(STEPS, installation)
        _show(args, rows, f"{args.env} is installed, and follows main")
    else:
        _confirm(plan(DOWN, installation), args, installation.aws.place)
        rows = _apply(DOWN, installation)
        _show(args, rows, "everything was removed")
    return 0


def _apply(steps: Sequence[Step], installation: Installation) -> list[Row]:
    rows = []
    for row in apply(steps, installation):
        console.note(format_progress(row))
        rows.append(row)
    return rows


def _confirm(rows: Sequence[Row], args: argparse.Namespace, where: str) -> None:
    """Have a person agree to what would be removed, if anything would."""
    removing = any(row.status == "pending" for row in rows)
    stopped = any(row.status == "manual" for row in rows)
    if removing and not stopped and not args.yes:
        options.confirm(args.env, f"{where}:\n{format_rows(rows)}")


def _read_token(*, from_stdin: bool) -> str | None:
    """Take the token out of the environment, where every program that we start would find it.

    Raises:
        UsageError: standard input was empty.
    """
    token = os.environ.pop(_TOKEN, None)
    if from_stdin:
        token = sys.stdin.readline().strip()
        if not token:
            raise UsageError("standard input contains no token")
    return token or None


def _show(args: argparse.Namespace, rows: list[Row], text: str) -> None:
    as_json = [row.as_json() for row in rows]
    print(json.dumps(as_json, indent=2, ensure_ascii=False) if args.json else text)
