"""From the words after ``harness`` to the arguments of one command.

Each command has a parser of its own, so that an option of another one is a usage error.
"""

import argparse
import importlib
import json
import re
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NoReturn

from harness.cli import commands
from harness.core.suggest import did_you_mean

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_HELP = ("-h", "--help")
_JSON = re.compile(r"--json\b|--format[ =]json\b")  # whoever asked for it reads no other words


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Wide enough that most options keep their help on their own line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)


class CommandParser(argparse.ArgumentParser):
    """The parser of one command; its errors end with the next thing to type."""

    words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        print(self.format_usage(), end="", file=sys.stderr)
        _answer(self.words, message, f"{self.prog} --help")
        print(f"{self.prog}: error: {message}\n  → {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help; argparse's own would keep quiet about a reader that has gone."""
        print(self.format_help(), end="", file=file)

    def read(self, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Return the arguments in ``words``, and those that are unknown.

        A list of arguments, such as files, may have options between its parts.
        """
        self.words = words
        args, unknown = self.parse_known_args(words)
        if unknown and any(each.nargs == "+" and not each.option_strings for each in self._actions):
            args, unknown = self.parse_known_intermixed_args(words)
        return args, unknown

    def option_helps(self) -> dict[str, str]:
        """Return each long option with its help."""
        return {
            option: (action.help or "") % vars(action)
            for action in self._actions
            for option in action.option_strings
            if option.startswith("--")
        }

    def option_choices(self) -> dict[str, list[str]]:
        """Return the values of each option that takes one of a few."""
        return {
            option: [str(choice) for choice in action.choices]
            for action in self._actions
            for option in action.option_strings
            if action.choices
        }


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of the command that ``words`` call.

    Raises:
        SystemExit: 0 after printing help, 2 after a usage error.
    """
    name, action, rest = _split(words)
    parser = build(name, action)
    args, unknown = parser.read(rest)
    if unknown:
        parser.error(_unknown(unknown, name, action))
    return args


def build(name: str, action: str) -> CommandParser:
    """Return the parser of one command; this imports the command's module."""
    verb = commands.VERBS[name]
    summary = verb.actions[action] if action else verb.summary
    parser = CommandParser(
        prog=f"harness {name} {action}".rstrip(),
        description=f"{summary[:1].upper()}{summary[1:]}.",
        formatter_class=_Formatter,
    )
    register = importlib.import_module(f"harness.cli.{name}").register
    register(parser, action) if action else register(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _split(words: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """Return the verb, its action (or an empty string) and what follows."""
    if not words or words[0] == "--json":
        _fail(words, commands.overview(), "which command?")
    name, *rest = words
    if name in _HELP:
        _print(commands.overview())
    if name not in commands.VERBS:
        _fail(words, commands.overview().splitlines()[0], _no("command", name, commands.VERBS))
    verb = commands.VERBS[name]
    if not verb.actions:
        return name, "", rest
    if not rest or rest[0] == "--json":
        _fail(words, commands.group_page(name), "which action?")
    if rest[0] in _HELP:
        _print(commands.group_page(name))
    if rest[0] not in verb.actions:
        _fail(words, commands.group_page(name), _no("action", rest[0], verb.actions))
    return name, rest[0], rest[1:]


def _no(kind: str, word: str, known: Collection[str]) -> str:
    return f"no {kind} {word!r}{did_you_mean(word, known)}\n  → harness help --all"


def _unknown(words: Sequence[str], name: str, action: str) -> str:
    """Return what is wrong with ``words``, and which sibling takes the first of them."""
    message = f"unrecognized arguments: {' '.join(words)}"
    option = words[0].partition("=")[0]
    siblings = (each for each in commands.VERBS[name].actions if each != action)
    takers = [
        f"harness {name} {each}" for each in siblings if option in build(name, each).option_helps()
    ]
    return f"{message}\n  → {option} is an option of {', '.join(takers)}" if takers else message


def _print(text: str) -> NoReturn:
    print(text)
    raise SystemExit(0)


def _answer(words: Sequence[str], message: str, hint: str) -> None:
    """Say a usage error to whoever asked for JSON."""
    if _JSON.search(" ".join(words)):
        print(json.dumps({"error": message, "at": None, "hint": hint, "exit": 2}, indent=2))


def _fail(words: Sequence[str], usage: str, message: str) -> NoReturn:
    _answer(words, message.partition("\n")[0], "harness help --all")
    print(f"{usage}\n\nharness: error: {message}", file=sys.stderr)
    raise SystemExit(2)
