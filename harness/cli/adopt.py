"""``harness models adopt``: takes over a store that was filled by hand."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.models.catalog import load_catalog
from harness.models.lock import Lock, load_lock, write_lock


def register(parser: argparse.ArgumentParser) -> None:
    """Add which folder."""
    parser.add_argument(
        "--store",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="adopt: the old store · gc, without a FOLDER: the cluster's store, not the bucket",
    )
    parser.add_argument(
        "--ownership",
        metavar="FILE_SYSTEM",
        help="adopt: what root owns on this EFS file system; with --yes, give it to the sync Job",
    )


def adopt(checkout: Repository, args: argparse.Namespace) -> int:
    """Write models/lock.yaml from what the folder has; 1 where something was left."""
    from harness.archives.adopt import adopt as take_over

    if args.ownership:
        return _own(checkout, args)
    if not args.store or not Path(args.store).is_dir():
        raise UsageError("--store names no folder", hint="the old store, mounted or copied")
    committed = load_lock(checkout.lock) if checkout.lock.is_file() else Lock()
    adopted = take_over(Path(args.store), load_catalog(checkout.models), committed)
    write_lock(checkout.lock, adopted.lock)
    if args.json:
        print(json.dumps({"adopted": adopted.names, "left": adopted.skipped}, indent=2))
    else:
        lines = [f"{name}: {adopted.lock.models[name].mar}" for name in adopted.names]
        print("\n".join([*lines, f"{len(adopted.names)} archives adopted"]))
    for line in adopted.skipped:
        console.note(f"! {line}")
    return 1 if adopted.skipped else 0


def _own(checkout: Repository, args: argparse.Namespace) -> int:
    """Give the old store's folders and files to the user of the sync Job."""
    from harness.archives import model_store

    if not args.env:
        raise UsageError("--env is missing: whose cluster mounts it?")
    with console.step("Job in the cluster"):
        found = model_store.chown_tree(
            checkout, args.env, args.context, args.ownership, apply=args.yes
        )
    if args.json:
        print(json.dumps({**asdict(found), "applied": args.yes}, indent=2))
        return 0
    done = "changed" if args.yes else "to change with --yes"
    print("\n".join([*found.changed, f"{args.ownership}: {len(found.changed)} {done}"]))
    for path in found.untouched:
        console.note(f"! {path} is left as it is")
    return 0
