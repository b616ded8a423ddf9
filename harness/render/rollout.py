"""Which pods a change replaces, and why: a new image, by its packages, or other settings.

A package that is locked replaces no pod yet. The next image of its set does.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.core.errors import InputError
from harness.core.values import KeyPath
from harness.image_sets import DEFAULT, Change, Installed, changes, load, name_in, pins
from harness.render.objects import Object
from harness.render.rendered import Environment
from harness.render.tree import Tree

if TYPE_CHECKING:  # a diff is shown with what this module says of it
    from harness.render.diff import Change as ObjectChange

_KINDS = ("DaemonSet", "Deployment", "StatefulSet")
_TEMPLATE = ("spec", "template")
_IMAGE = "image"
_MENTIONED = 8  # packages in a line; a new torch moves fifty
_FILE = re.compile(r"torchserve/(.+)")


@dataclass(frozen=True, slots=True)
class Rollout:
    """Pods that are replaced.

    Attributes:
        group: the Helm release that they are of: a serving group, or a third-party chart.
        reasons: what of their template differs.
        packages: those that differ in a new image, as far as the locks tell.
    """

    object: Object
    group: str
    reasons: tuple[str, ...]
    packages: tuple[Change, ...] = ()

    def __str__(self) -> str:
        packages = f" ({_listing(self.packages)})" if self.packages else ""
        return f"{self.object}: {', '.join(self.reasons)}{packages}"


@dataclass(frozen=True, slots=True)
class NextImage:
    """Packages that are locked for a set's image, which is not the one that its groups run."""

    image_set: str
    packages: tuple[Change, ...]
    groups: tuple[str, ...]

    def __str__(self) -> str:
        argument = "" if self.image_set == DEFAULT else f" SET={self.image_set}"
        groups = ", ".join(self.groups) or "no group"
        return (
            f"{groups}, once the next image of set {self.image_set} is pinned "
            f"(make image-pin{argument}): {_listing(self.packages)}"
        )


def packages_of_groups(tree: Tree, env: str) -> Installed:
    """The packages of each set's image, and the sets of an environment's groups, in a tree."""
    folder = f"apps/torchserve/{env}"
    groups = {}
    for path in sorted((tree.root / folder).glob("*/serving.yaml")):
        name = path.parent.name
        groups[name] = DEFAULT
        with contextlib.suppress(InputError):  # what cannot be read has a finding of its own
            parsed = tree.documents(f"{folder}/{name}/kustomization.yaml")
            groups[name] = name_in([each.value for each in parsed])
    return Installed(tree.remember("image sets", lambda: _packages(tree)), groups)


def rollouts(
    old: Environment, new: Environment, differing: "Iterable[ObjectChange]"
) -> list[Rollout]:
    """The pods that a change from ``old`` to ``new`` replaces; new ones replace nothing."""
    replaced = []
    for change in differing:
        below = [each.path[2:] for each in change.fields if each.path[:2] == _TEMPLATE]
        if change.object.kind in _KINDS and below:
            group = change.object.owner.name
            reasons = dict.fromkeys(map(_reason, below))
            packages = _differences(old, new, group) if _IMAGE in reasons else []
            replaced.append(Rollout(change.object, group, tuple(reasons), tuple(packages)))
    return replaced


def next_images(old: Environment, new: Environment, replaced: Iterable[Rollout]) -> list[NextImage]:
    """The sets whose packages differ, while some of their groups keep the image that they run."""
    moved = {each.group for each in replaced if _IMAGE in each.reasons}
    images = []
    for name, packages in new.installed.packages.items():
        before = old.installed.packages.get(name, {})
        groups = tuple(each for each, of in new.installed.groups.items() if of == name)
        remaining = tuple(each for each in groups if each not in moved)
        if before and (differing := tuple(changes(before, packages))) and remaining:
            images.append(NextImage(name, differing, remaining))
    return images


def lines(old: Environment, new: Environment, differing: "Iterable[ObjectChange]") -> Iterator[str]:
    """Both, for a person: a line each."""
    replaced = rollouts(old, new, differing)
    yield from map(str, replaced)
    yield from map(str, next_images(old, new, replaced))


def _packages(tree: Tree) -> dict[str, dict[str, str]]:
    packages = {}
    for name, each in load(tree.root).items():
        with contextlib.suppress(InputError):
            packages[name] = pins(tree.text(str(each.requirements)))
    return packages


def _differences(old: Environment, new: Environment, group: str) -> list[Change]:
    before, after = (
        each.installed.packages.get(each.installed.groups.get(group, ""), {}) for each in (old, new)
    )
    return list(changes(before, after)) if before and after else []


def _reason(path: KeyPath) -> str:
    """What of a pod template differs, in a word: ``image``, ``resources``, a file's name."""
    keys = [str(each) for each in path]
    if "annotations" in keys[:-1] and (file := _FILE.fullmatch(keys[-1])):
        return file[1]
    if len(keys) > 3 and keys[1] in ("containers", "initContainers"):
        return keys[3]
    return keys[1] if len(keys) > 1 else keys[0]


def _listing(packages: Iterable[Change]) -> str:
    texts = [str(each) for each in packages]
    more = len(texts) - _MENTIONED
    return ", ".join(texts if more <= 0 else [*texts[:_MENTIONED], f"… and {more} more"])
