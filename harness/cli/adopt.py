"""``harness models adopt``: takes over a model store that was filled by hand."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from harness.cli import options
from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository
from harness.models.catalog import load_catalog
from harness.models.lock import Lock, load_lock, write_lock


def register(parser: argparse.ArgumentParser, _action: str) -> None:
    """Add the folder or the file system that is adopted."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="lock the archives of this folder: the old store, mounted or copied",
    )
    what.add_argument(
        "--ownership",
        metavar="FILE_SYSTEM",
        help="list what root owns on this EFS file system, such as fs-0123456789abcdef0",
    )
    parser.add_argument("--env", help="with --ownership: environment whose cluster mounts it")
    options.add_context(parser)
    parser.add_argument(
        "--yes",
        action="store_true",
        help="with --ownership: give it to the sync Job's user (default: only list)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    return _change_ownership(args) if args.ownership else _adopt(args)


def _adopt(args: argparse.Namespace) -> int:
    """Write models/lock.yaml from the folder's archives; 1 if one was left out."""
    from harness.archives.adopt import adopt

    if args.yes or args.env or args.context:
        raise UsageError("--env, --context and --yes go with --ownership, not with --store")
    if not args.store.is_dir():
        raise UsageError(f"{args.store} is not a folder", hint="the old store, mounted or copied")
    repository = find_repository()
    committed = load_lock(repository.lock) if repository.lock.is_file() else Lock()
    adopted = adopt(args.store, load_catalog(repository.models), committed)
    write_lock(repository.lock, adopted.lock)
    if args.json:
        print(json.dumps({"adopted": adopted.names, "left": adopted.skipped}, indent=2))
    else:
        lines = [f"{name}: {adopted.lock.models[name].mar}" for name in adopted.names]
        print("\n".join([*lines, f"{len(adopted.names)} archives adopted"]))
    for line in adopted.skipped:
        console.note(f"! {line}")
    return 1 if adopted.skipped else 0


def _change_ownership(args: argparse.Namespace) -> int:
    """Give the old store's folders and files to the user of the sync Job."""
    from harness.archives import model_store

    if not args.env:
        raise UsageError("--ownership needs --env: the environment whose cluster mounts it")
    with console.step("Job in the cluster"):
        ownership = model_store.chown_tree(
            find_repository(), args.env, args.context, args.ownership, apply=args.yes
        )
    if args.json:
        # `left` is the old name of `untouched`, until 2027-03-01.
        fields = {**asdict(ownership), "left": ownership.untouched, "applied": args.yes}
        print(json.dumps(fields, indent=2))
        return 0
    what = "changed" if args.yes else "to change with --yes"
    print("\n".join([*ownership.changed, f"{args.ownership}: {len(ownership.changed)} {what}"]))
    for path in ownership.untouched:
        console.note(f"! {path} keeps its owner")
    return 0
