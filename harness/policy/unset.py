"""Which values that are ``UNSET`` a person fills in, and with what; a command has the rest."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.core.fix import advise, run
from harness.core.problem import Location, Problem
from harness.render.rendered import UnsetValue
from harness.render.tree import Tree

_LOCK = Path("models/lock.yaml")
_BY_COMMAND = (
    # `make cluster` serves this working tree at an address of its own, in a commit of its own.
    (r"clusters/local/.*", r".*", "make cluster"),
    (r"clusters/[^/]+/release\.yaml", r".*spec\.ref\.commit", "make promote"),
)
_ADVICE = (
    (r"clusters/([^/]+)/.*", r"fill it in by `harness init --env \1`"),
    (r"apps/torchserve/base/.*", "push an image, then `make image-pin DIGEST=sha256:…`"),
    (r".*Containerfile", "write the digest there that `make image-base` names a command for"),
)


def by_command(unset: UnsetValue) -> str:
    """The command that fills a value in later; empty where a person has to do it now."""
    for path, key, command in _BY_COMMAND:
        if re.fullmatch(path, str(unset.location.path)) and re.fullmatch(key, unset.key):
            return command
    return ""


def problems(values: Iterable[UnsetValue], tree: Tree) -> Iterator[Problem]:
    """What keeps a cluster from being made: each value that a person has not filled in.

    What a snapshot has from the lock is the lock's, and said once.
    """
    for unset in values:
        if unset.location.path.name in ("config.properties", "model-files.yaml"):
            at = tree.mention((str(_LOCK),), r":\s+UNSET\b")
            message = "a model is in the lock whose archive was never built"
            yield Problem(message, at, rule="render/unset", fix=run("make", "lock"))
        elif not by_command(unset):
            fix = advise(_advice(unset.location))
            yield Problem(f"{unset.key} is UNSET", unset.location, rule="render/unset", fix=fix)


def _advice(at: Location) -> str:
    for pattern, advice in _ADVICE:
        if match := re.fullmatch(pattern, str(at.path)):
            return match.expand(advice)
    return ""
