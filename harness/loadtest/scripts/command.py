"""A command line of another program, read by argparse as that program would read it."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from harness.core.errors import InputError


class Parser(argparse.ArgumentParser):
    """Knows a program's options; what it does not know is returned, not refused."""

    def __init__(self, program: str) -> None:
        super().__init__(prog=program, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the line, where argparse would end the process."""
        raise InputError(f"{self.prog}: {message}")

    def flags(self, *names: str) -> None:
        """Options without an argument that change nothing of what is sent."""
        for name in names:
            self.add_argument(name, action="store_true", dest="ignored")

    def read(self, words: Sequence[str]) -> tuple[argparse.Namespace, list[str], list[str]]:
        """The options, the addresses, and the options that are not known."""
        options, rest = self.parse_known_args(list(words))
        unknown = [word for word in rest if word.startswith("-") and word != "-"]
        others = [word for word in rest if word not in unknown]
        urls = [word for word in others if "://" in word] or others[:1]
        return options, [url if "://" in url else f"http://{url}" for url in urls], unknown
