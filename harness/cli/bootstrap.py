"""``harness bootstrap``: from an empty AWS account to the first sync, and back."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from harness.bootstrap.down import DOWN
from harness.bootstrap.installation import Installation, of
from harness.bootstrap.step import Row, Step, apply, format_progress, format_rows, plan
from harness.bootstrap.steps import STEPS
from harness.core import console, repository
from harness.core.errors import UsageError

_TOKEN = "GIT_TOKEN"  # noqa: S105 (a variable's name)


def register(parser: argparse.ArgumentParser) -> None:
    """Add what to do, with which environment, and where the token comes from."""
    parser.add_argument(
        "action",
        choices=["plan", "apply", "destroy"],
        help="plan: how each step stands, and what it would change · apply: do what is left, as "
        "far as it goes without you · destroy: remove the foundation, once the cluster is gone",
    )
    parser.add_argument("--env", required=True, help="the environment, such as staging")
    parser.add_argument(
        "--token-stdin",
        action="store_true",
        help=f"apply: read the Git server's token from standard input (else: {_TOKEN}); "
        "nothing of the kind is needed where GIT_URL begins with ssh://",
    )
    parser.add_argument("--yes", action="store_true", help="destroy: do not ask")
    parser.add_argument(
        "--with-data", action="store_true", help="destroy: images, archives and evidence too"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    installation = of(
        repository.find(),
        args.env,
        action=args.action,
        token=_token(from_stdin=args.token_stdin),
        with_data=args.with_data,
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
        _show(args, rows, "there is nothing left")
    return 0


def _apply(steps: Sequence[Step], installation: Installation) -> list[Row]:
    rows = []
    for row in apply(steps, installation):
        console.note(format_progress(row))
        rows.append(row)
    return rows


def _confirm(rows: Sequence[Row], args: argparse.Namespace, where: str) -> None:
    """Have a person agree to what would be removed.

    Raises:
        UsageError: nobody did.
    """
    removing = any(row.status == "pending" for row in rows)
    stopped = any(row.status == "manual" for row in rows)
    if args.yes or stopped or not removing:
        return
    console.note(f"{where}:\n{format_rows(rows)}")
    if not sys.stdin.isatty():
        raise UsageError("no terminal to confirm on", hint="use --yes")
    if input(f"Type {args.env} to remove all of this: ") != args.env:
        raise UsageError("not confirmed: nothing was removed")


def _token(*, from_stdin: bool) -> str | None:
    """The token; out of the environment, where every program that is started would find it.

    Raises:
        UsageError: none came.
    """
    token = os.environ.pop(_TOKEN, None)
    if from_stdin:
        token = sys.stdin.readline().strip()
        if not token:
            raise UsageError("standard input has no token")
    return token or None


def _show(args: argparse.Namespace, rows: list[Row], text: str) -> None:
    as_json = [row.as_json() for row in rows]
    print(json.dumps(as_json, indent=2, ensure_ascii=False) if args.json else text)
