"""What Prometheus' own promtool says of alerts and recording rules, where it is built.

The expressions are parsed as Prometheus would, and so are the templates of annotations. What it
said is kept by the rules and the program that it was said of.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.core.values import Key, KeyPath, items, text
from harness.render.cache import Cache
from harness.render.objects import Object

NOT_PARSED = "alert expressions were not parsed: `harness tools promtool` builds the parser, once"
_PROGRAM = "promtool"
_SECONDS = 300.0  # it takes a tenth of one, on a machine that is not busy
_REFUSED = 1  # exit code
_FAULT = re.compile(r'(?:[\d:]+ )?group "(?P<group>.*)", rule (?P<number>\d+), ".*?": (?P<why>.*)')


def are_parsed(repository: Repository) -> bool:
    """Whether this machine can."""
    return tools.at_hand(repository, _PROGRAM) is not None


def faults(repository: Repository, rules: Object) -> Iterator[tuple[KeyPath, str]]:
    """The rules of a PrometheusRule that Prometheus would refuse: where, and why.

    Raises:
        HarnessError: promtool failed.
    """
    program = tools.at_hand(repository, _PROGRAM)
    if program is None:
        return
    key = f"promtool {tools.fingerprint(repository, _PROGRAM)} {rules.digest}"
    answer = Cache(repository).get(key, lambda: [*_ask(program, rules)])
    yield from ((tuple(where), why) for where, why in cast("list[tuple[list[Key], str]]", answer))


def _ask(program: Path, rules: Object) -> Iterator[tuple[KeyPath, str]]:
    groups = items(rules.value, "spec", "groups")
    answer = command.run(
        [program, "check", "rules"],
        stdin=json.dumps({"groups": groups}),
        timeout=_SECONDS,
        accept=(0, _REFUSED),
    )
    at = {text(group, "name"): index for index, group in enumerate(groups)}
    for line in (answer.stdout + answer.stderr).splitlines():
        if match := _FAULT.fullmatch(line.strip()):
            where = ("spec", "groups", at[match["group"]], "rules", int(match["number"]) - 1)
            yield where, match["why"]
