"""Brings what a release needs to another environment: archives by SHA-256, the image by digest.

Nothing is built again: what was proven is what is copied. What is there already is left alone.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import registry
from harness.archives import push
from harness.core import console
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models.lock import load_lock
from harness.promotion import gather
from harness.registry import Image
from harness.render.renderer import Renderer


@dataclass(frozen=True, slots=True)
class Copied:
    """One thing: where it is now, and whether it was copied or was there."""

    what: str
    new: bool


def copy(repository: Repository, source: str, target: str, commit: str) -> Iterator[Copied]:
    """Copy what the target's folder × a commit needs from the source's bucket and registry.

    Raises:
        InputError: the source lacks it, something is UNSET, or the target has another content.
        HarnessError: a bucket or a registry refused.
    """
    renderer = Renderer(repository)
    wanted = renderer.pinning(target, commit)
    proven = renderer.at(source, commit)
    if unset := [*wanted.unset, *proven.unset]:
        raise InputError(
            f"UNSET: {unset[0].key} and {len(unset) - 1} more",
            at=unset[0].location,
            hint=f"harness init --env {target}",
        )
    yield from _archives(repository, source, target, renderer.commit(commit).root)
    pairs = zip(gather.images(proven), gather.images(wanted), strict=True)
    for there, here in pairs:
        yield _image(repository, there, here)


def _archives(repository: Repository, source: str, target: str, tree: Path) -> Iterator[Copied]:
    there, here = push.find(repository, source), push.find(repository, target)
    for locked in load_lock(tree / "models" / "lock.yaml").models.values():
        what = f"s3://{here.name}/{locked.mar}"
        if here.has(locked):
            yield Copied(what, new=False)
            continue
        with (
            console.step(f"copy {locked.mar}") as update,
            tempfile.TemporaryDirectory(dir=repository.build) as scratch,
        ):
            path = Path(scratch, locked.mar)
            there.fetch(locked, path)
            yield Copied(what, new=here.push(path, locked, update))


def _image(repository: Repository, there: Image, here: Image) -> Copied:
    if there.digest != here.digest:
        raise InputError(f"{here} is another image than {there}")
    if registry.exists(repository, here):
        return Copied(str(here), new=False)
    if not registry.exists(repository, there):
        raise InputError(f"there is no {there}", hint="the image workflow builds and pushes it")
    with console.step(f"copy {there}"):
        registry.copy(repository, there, here.name)
    return Copied(str(here), new=True)
