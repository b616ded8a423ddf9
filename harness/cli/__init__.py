"""The ``harness`` command: a module or package per verb, whose ``register`` adds its options.

The result goes to stdout, progress to stderr. ``--json`` prints the same result as JSON.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from harness.cli import old_spellings, parser
from harness.core import console
from harness.core.errors import HarnessError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code (``harness.core.errors`` has what each means).
    """
    words, replaced = old_spellings.translate(sys.argv[1:] if argv is None else argv)
    for old, new in replaced:
        console.note(f"! `{old}` is now `{new}`; the old spelling works until {old_spellings.END}")
    args = parser.parse(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except HarnessError as error:
        return _report(error, args)
    except BrokenPipeError:  # `harness diff … | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as if the signal had ended us
    except KeyboardInterrupt:
        console.note("interrupted")
        return 130
    return code


def _report(error: HarnessError, args: argparse.Namespace) -> int:
    """Say an error to people, and to the program that reads the result in its format."""
    console.note(f"✗ {error}")
    if "as_error" in args:
        if text := args.as_error(args, error):
            print(text)
    elif args.json:
        at = str(error.at) if error.at else None
        answer = {"error": error.message, "at": at, "hint": error.hint, "exit": error.exit_code}
        print(json.dumps(answer, indent=2))
    return error.exit_code
