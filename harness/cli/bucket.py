"""``harness models push``, ``pull`` and ``gc``: archives in an environment's bucket and store."""

import argparse
import json
from typing import TYPE_CHECKING

from harness.cli import options
from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.models.build import store as model_store_folder
from harness.models.lock import load_lock

if TYPE_CHECKING:
    from harness.archives.push import Bucket


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of push, pull or gc."""
    options.add_shared_env(parser)
    if action in ("push", "pull"):
        parser.set_defaults(run=_push if action == "push" else _pull)
        return
    parser.add_argument(
        "--store",
        action="store_true",
        help="the archives in the cluster's model store instead of those in the bucket",
    )
    options.add_context(parser, "the cluster that mounts the store")
    parser.add_argument(
        "--yes", action="store_true", help="remove them (default: only list what would be removed)"
    )
    parser.set_defaults(run=_gc)


def _push(args: argparse.Namespace) -> int:
    """Upload every locked archive that the bucket lacks."""
    repository = find_repository()
    bucket = _bucket(repository, args.env)
    bucket.aws.confirm_account()
    pushed: list[str] = []
    present: list[str] = []
    for model, locked in load_lock(repository.lock).archives():
        if locked.unset:
            console.note(f"! {model} {locked.version} is UNSET: nothing to push")
            continue
        with console.step(locked.mar) as update:
            new = bucket.push(model_store_folder(repository) / locked.mar, locked, update)
        (pushed if new else present).append(locked.mar)
    if args.json:
        print(json.dumps({"bucket": bucket.name, "pushed": pushed, "there": present}, indent=2))
    else:
        print(f"s3://{bucket.name}: {len(pushed)} pushed, {len(present)} already present")
    return 0


def _pull(args: argparse.Namespace) -> int:
    """Download every locked archive that build/models/model-store lacks."""
    repository = find_repository()
    bucket = _bucket(repository, args.env)
    pulled: list[str] = []
    for _, locked in load_lock(repository.lock).archives():
        path = model_store_folder(repository) / locked.mar
        if locked.unset or path.is_file():
            continue
        with console.step(locked.mar):
            bucket.fetch(locked, path)
        pulled.append(locked.mar)
    if args.json:
        print(json.dumps({"bucket": bucket.name, "pulled": pulled}, indent=2))
    else:
        print("\n".join([*pulled, f"{len(pulled)} pulled from s3://{bucket.name}"]))
        console.note("next: harness models build")
    return 0


def _gc(args: argparse.Namespace) -> int:
    """List what no release needs, in the bucket or in the store; with --yes, remove it."""
    from harness.archives import gc

    repository = find_repository()
    if args.store:
        return _gc_store(repository, args)
    if args.context:
        raise UsageError("--context goes with --store: the bucket needs no cluster")
    bucket = _bucket(repository, args.env)
    aws, name = bucket.aws, bucket.name
    if args.yes:
        aws.confirm_account()
    needed = gc.needed_archives(repository)
    objects = aws.list_all("s3", "list_objects_v2", "Contents", Bucket=name)
    archives = sorted(each["Key"] for each in objects if each["Key"].endswith(".mar"))
    unneeded = [key for key in archives if key not in needed]
    for key in unneeded if args.yes else []:
        aws.call("s3", "delete_object", Bucket=name, Key=key)
    if args.json:
        print(json.dumps({"bucket": name, "unneeded": unneeded, "removed": args.yes}, indent=2))
        return 0
    what = f"removed from {aws.place}" if args.yes else "to remove with --yes"
    print("\n".join([*unneeded, f"s3://{name}: {len(unneeded)} of {len(archives)} {what}"]))
    return 0


def _gc_store(repository: Repository, args: argparse.Namespace) -> int:
    from harness.archives import model_store

    with console.step("Job in the cluster"):
        garbage = model_store.sweep(repository, args.env, args.context, remove=args.yes)
    if args.json:
        rows = [{"name": each.name, "size": each.size} for each in garbage.archives]
        answer = {"unneeded": rows, "gone": garbage.gone, "removed": args.yes}
        print(json.dumps(answer, indent=2))
        return 0
    what = "removed" if args.yes else "to remove with --yes"
    size = sum(each.size for each in garbage.archives) / 1e6
    count = f"{len(garbage.archives)} ({size:,.1f} MB)"
    after = "the next run lists its archives" if args.yes else "--yes forgets it"
    lines = [
        *(each.name for each in garbage.archives),
        *(f"group {each} is gone from the cluster: {after}" for each in garbage.gone),
        f"store of {args.env}: {count} {what}",
    ]
    print("\n".join(lines))
    return 0


def _bucket(repository: Repository, env: str) -> "Bucket":
    from harness.archives import push

    return push.find(repository, env)
