"""Brings what a release needs to another environment: archives by SHA-256, the image by digest.

Nothing is built again: what was proven is what is copied. What already exists is left alone.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import registry
from harness.archives import push
from harness.core import console
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models.lock import load_lock
from harness.promotion import collect
from harness.registry import Image
from harness.render.renderer import Renderer


@dataclass(frozen=True, slots=True)
class Item:
    """One archive or image: its new address, and whether it was copied or already existed."""

    what: str
    new: bool


def copy(repository: Repository, source: str, target: str, commit: str) -> Iterator[Item]:
    """Copy what the target's folder × a commit needs from the source's bucket and registry.

    Raises:
        InputError: the source lacks it, something is UNSET, or the target has another content.
        HarnessError: a bucket or a registry refused.
    """
    renderer = Renderer(repository)
    candidate = renderer.pinning(target, commit)
    release = renderer.at(source, commit)
    if unset := [*candidate.unset, *release.unset]:
        raise InputError(
            f"UNSET: {unset[0].key} and {len(unset) - 1} more",
            at=unset[0].location,
            hint=f"harness init --env {target}",
        )
    yield from _archives(repository, source, target, renderer.commit(commit).root)
    for proven, needed in pairs(collect.images(release), collect.images(candidate)):
        yield _image(repository, proven, needed)


def pairs(source: Iterable[Image], target: Iterable[Image]) -> Iterator[tuple[Image, Image]]:
    """Each image of the target with the source's of the same digest: one for each image set.

    Raises:
        InputError: no group of the source runs it.
    """
    proven = {each.digest: each for each in source}
    for image in target:
        if image.digest not in proven:
            raise InputError(f"{image} is run by no group of the source, so nothing has proved it")
        yield proven[image.digest], image


def _archives(repository: Repository, source: str, target: str, tree: Path) -> Iterator[Item]:
    source_bucket, target_bucket = push.find(repository, source), push.find(repository, target)
    for _, locked in load_lock(tree / "models" / "lock.yaml").archives():
        what = f"s3://{target_bucket.name}/{locked.mar}"
        if target_bucket.has(locked):
            yield Item(what, new=False)
            continue
        with (
            console.step(f"copy {locked.mar}") as update,
            tempfile.TemporaryDirectory(dir=repository.build) as scratch,
        ):
            path = Path(scratch, locked.mar)
            source_bucket.fetch(locked, path)
            yield Item(what, new=target_bucket.push(path, locked, update))


def _image(repository: Repository, source: Image, target: Image) -> Item:
    if registry.exists(repository, target):
        return Item(str(target), new=False)
    if not registry.exists(repository, source):
        raise InputError(
            f"image {source} not found", hint="the image workflow builds and pushes it"
        )
    with console.step(f"copy {source}"):
        registry.copy(repository, source, target.name)
    return Item(str(target), new=True)
