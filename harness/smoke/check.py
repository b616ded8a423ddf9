"""The metadata of a check of the suite: what it needs, and what to type when it fails.

    @check(Need.CLUSTER, then="{kubectl} get nodes")
    def test_every_node_is_ready(cluster: Api) -> None:
        ...

Its name is the function's, in words.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

import pytest

MARK = "check"


class Need(StrEnum):
    """What there has to be for a check to mean anything."""

    CLUSTER = "an API server, and Flux"
    SERVER = "a TorchServe that answers"
    POD = "pods that run on nodes"
    GPU = "GPUs"
    EFS = "an EFS file system"
    GATEWAY = "a gateway"


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        needs: what it needs.
        then: the command to type when it fails, with ``{kubectl}``, ``{at}``, ``{env}`` and
            ``{group}``, the serving group that failed.
        embedded: the same for the embedded server, with ``{folder}`` of its logs too.
    """

    needs: tuple[Need, ...]
    then: str
    embedded: str


def check(
    *needs: Need, then: str, embedded: str = "tail -n 50 {folder}/torchserve.log"
) -> pytest.MarkDecorator:
    """Make a check of a test function."""
    return cast("pytest.MarkDecorator", getattr(pytest.mark, MARK)(Check(needs, then, embedded)))


def of(item: pytest.Item) -> Check:
    """Return the metadata of a test of the suite.

    Raises:
        LookupError: it has none, so it is unknown when it applies.
    """
    marks: Iterator[pytest.Mark] = item.iter_markers(MARK)
    for mark in marks:
        return cast("Check", mark.args[0])
    raise LookupError(f"{item.nodeid} has no @check")


_PROPER = {word.lower(): word for word in ("Flux", "Git", "GPUs", "TLS", "TorchServe")}


def name(function: str) -> str:
    """The name of a check in reports."""
    words = function.removeprefix("test_").split("_")
    return " ".join(_PROPER.get(word, word) for word in words)
