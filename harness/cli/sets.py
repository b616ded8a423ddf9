"""``harness sets``: image sets, for packages that exclude each other."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import image_sets, set_environment
from harness.core import console
from harness.core.errors import UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.image_sets import ImageSet
from harness.settings import sets

_SHARED = (
    *("apps/torchserve/image/Containerfile", "apps/torchserve/image/jars.lock"),
    *("apps/torchserve/image/resolver.txt", "harness/jars", "harness/launcher"),
    *("harness/model_sync", "harness/trace_export", ".github/workflows/image.yaml"),
)
"""What every image is built from, next to its own requirements.txt."""


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    if action == "list":
        parser.add_argument(
            "--changed-since",
            metavar="COMMIT",
            help="only those whose image has to be built again, by what changed since this commit",
        )
        parser.add_argument(
            "--matrix", action="store_true", help="print a line for a workflow's GITHUB_OUTPUT"
        )
        parser.set_defaults(run=_list)
        return
    parser.add_argument("set", metavar="SET", help="name of the image set")
    if action == "add":
        parser.add_argument(
            "models", nargs="*", metavar="MODEL", help="whose requirements.in is in it"
        )
        parser.add_argument(
            "--python", metavar="VERSION", help="its Python, such as 3.12 (default: the image's)"
        )
        parser.add_argument(
            "--instead-of", metavar="SET", help="image set that no longer lists these models"
        )
    if action == "setup":
        parser.add_argument(
            "--python", metavar="PROGRAM", help="the Python of its environment (default: by uv)"
        )
    parser.set_defaults(run={"add": _add, "remove": _remove, "setup": _setup}[action])


def _list(args: argparse.Namespace) -> int:
    repository = find_repository()
    listed = image_sets.load(repository.root)
    if args.changed_since is not None:
        listed = _to_build(repository, listed, args.changed_since)
    rows = [_row(repository, each) for each in listed.values()]
    if args.matrix:
        print(f"sets={json.dumps([asdict(row) for row in rows])}")
        return 0
    if args.json:
        print(json.dumps({"sets": [asdict(row) for row in rows]}, indent=2))
        return 0
    for row in rows:
        groups = ", ".join(row.groups) or "no group"
        models = ", ".join(row.models) or "no model of its own"
        print(f"{row.name:<20}Python {row.python} · {models} · run by {groups}")
    return 0


def _add(args: argparse.Namespace) -> int:
    repository = find_repository()
    changes = sets.add(repository, args.set, args.models, args.python, args.instead_of)
    written = sets.apply(repository, changes)
    image_set = image_sets.find(repository.root, args.set)
    models = " ".join(image_set.models) or "MODEL"
    group = args.set.replace(".", "-")
    following = [
        "make requirements",
        f"harness groups add {group} {models} --set {args.set} --env ENV, for each environment",
        *_moves(repository, image_set, group),
        f"make image-pin SET={args.set} DIGEST=sha256:…, once the workflow has built its image",
    ]
    return _report(args, written, following)


def _remove(args: argparse.Namespace) -> int:
    repository = find_repository()
    written = sets.apply(repository, sets.remove(repository, args.set))
    return _report(args, written, ["make requirements, make check"])


def _setup(args: argparse.Namespace) -> int:
    repository = find_repository()
    image_set = image_sets.find(repository.root, args.set)
    if image_set.is_default:
        raise UsageError("the default set is the harness's own environment", hint="make setup")
    folder = set_environment.set_up(repository, image_set, args.python or "")
    path = folder.relative_to(repository.history)
    if args.json:
        print(json.dumps({"set": image_set.name, "environment": str(path)}, indent=2))
    else:
        print(f"{path}: as {image_set.lock}")
    return 0


def _to_build(
    repository: Repository, every: Mapping[str, ImageSet], commit: str
) -> dict[str, ImageSet]:
    """The sets whose image has to be built again since a commit; every set if it is unknown."""
    git = Git(repository.root)
    if not commit or git.resolve(commit) is None:
        console.note(f"no commit {commit[:12] or 'named'} here: every set")
        return dict(every)
    names = git.run("diff", "--name-only", "-z", commit, "--").split("\0")
    if any(name.startswith(_SHARED) for name in names):
        return dict(every)
    return {
        name: each
        for name, each in every.items()
        if {str(each.requirements), str(each.folder / ".python-version")} & set(names)
    }


def _moves(repository: Repository, image_set: ImageSet, group: str) -> list[str]:
    """What brings the models that groups of other sets serve to a group of this one."""
    others = [each for each in image_sets.load(repository.root).values() if each != image_set]
    return [
        f"harness groups move {model} --to {group} --env {env}: {served_by} runs set {other.name}"
        for model in image_set.models
        for other in others
        for env, served_by in image_sets.serving(repository, other, model)
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    """A set, for who lists them; ``groups`` by environment and name."""

    name: str
    python: str
    requirements: str
    digest: str
    models: tuple[str, ...]
    groups: tuple[str, ...]


def _row(repository: Repository, image_set: ImageSet) -> _Row:
    return _Row(
        image_set.name,
        image_set.python,
        str(image_set.requirements),
        sets.digest(repository, image_set),
        image_set.models,
        tuple(f"{env}/{group}" for env, group in sets.groups_of(repository, image_set)),
    )


def _report(
    args: argparse.Namespace,
    written: Mapping[Path, str | None],
    following: list[str],
) -> int:
    """Print what changed and what comes next."""
    changed = [path.as_posix() for path, text in written.items() if text is not None]
    removed = [path.as_posix() for path, text in written.items() if text is None]
    if args.json:
        print(json.dumps({"written": changed, "removed": removed, "next": following}, indent=2))
        return 0
    for word, names in (("wrote", changed), ("removed", removed)):
        for name in names:
            print(f"{word} {name}")
    for line in following:
        console.note(line)
    return 0
