"""``harness release freeze``: whether promotions to an environment are frozen."""

import argparse
import datetime
import json

from harness.cli import options
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository
from harness.settings import freeze, gates
from harness.settings.freeze import Window


def register(parser: argparse.ArgumentParser) -> None:
    options.add_shared_env(parser)
    parser.add_argument(
        "--at", metavar="TIME", help="time in ISO 8601 with an offset (default: now)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the window; exit 1 inside one."""
    calendar = gates.load(find_repository(), args.env).freeze
    at = _moment(args.at) if args.at else datetime.datetime.now(datetime.UTC)
    inside, coming = freeze.window_at(calendar, at), freeze.next_window(calendar, at)
    if args.json:
        print(json.dumps({"frozen": _data(inside), "next": _data(coming)}, indent=2))
    else:
        print(f"{args.env} is frozen: {inside}" if inside else f"{args.env} is open")
        if coming:
            print(f"next: {coming.name}, from {coming.start:%Y-%m-%d %H:%M} UTC")
    return 1 if inside else 0


def _moment(text: str) -> datetime.datetime:
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--at {text}: {error}", hint="2026-12-24T18:00+01:00") from error
    if at.tzinfo is None:
        raise UsageError(f"--at {text} has no offset", hint=f"{text}Z, or {text}+01:00")
    return at


def _data(window: Window | None) -> dict[str, str] | None:
    if window is None:
        return None
    return {
        "name": window.name,
        "from": window.start.isoformat(),
        "to": window.end.isoformat(),
    }
