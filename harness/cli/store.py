"""``harness models push`` and ``gc``: an environment's archives, in its bucket and its store."""

import argparse
import json
from typing import TYPE_CHECKING

from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.models.build import store as built
from harness.models.lock import load_lock

if TYPE_CHECKING:
    from harness.archives.push import Bucket


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of push and gc."""
    parser.add_argument("--env", help="push, gc: whose bucket (site.yaml's MODEL_BUCKET)")
    parser.add_argument("--context", help="gc --store, adopt --ownership: of KUBECONFIG")
    parser.add_argument(
        "--yes", action="store_true", help="gc, adopt --ownership: do, not only list"
    )


def push(checkout: Repository, args: argparse.Namespace) -> int:
    """Upload every locked archive that the bucket lacks."""
    bucket = _bucket(checkout, args.env)
    bucket.aws.confirm_account()
    pushed: list[str] = []
    there: list[str] = []
    for model, locked in load_lock(checkout.lock).models.items():
        if locked.unset:
            console.note(f"! {model} {locked.version} is UNSET: there is nothing to push")
            continue
        with console.step(locked.mar) as update:
            new = bucket.push(built(checkout) / locked.mar, locked, update)
        (pushed if new else there).append(locked.mar)
    if args.json:
        print(json.dumps({"bucket": bucket.name, "pushed": pushed, "there": there}, indent=2))
    else:
        print(f"s3://{bucket.name}: {len(pushed)} pushed, {len(there)} were there")
    return 0


def gc(checkout: Repository, args: argparse.Namespace) -> int:
    """List what no release needs, in the bucket or in the store; with --yes, remove it."""
    from harness.archives import gc as garbage

    if args.store is not None:
        return _gc_store(checkout, args)
    bucket = _bucket(checkout, args.env)
    aws, name = bucket.aws, bucket.name
    if args.yes:
        aws.confirm_account()
    keep = garbage.needed(checkout)
    there = aws.list_all("s3", "list_objects_v2", "Contents", Bucket=name)
    archives = sorted(each["Key"] for each in there if each["Key"].endswith(".mar"))
    unneeded = [key for key in archives if key not in keep]
    for key in unneeded if args.yes else []:
        aws.call("s3", "delete_object", Bucket=name, Key=key)
    if args.json:
        print(json.dumps({"bucket": name, "unneeded": unneeded, "removed": args.yes}, indent=2))
        return 0
    done = f"removed from {aws.place}" if args.yes else "to remove with --yes"
    print("\n".join([*unneeded, f"s3://{name}: {len(unneeded)} of {len(archives)} {done}"]))
    return 0


def _gc_store(checkout: Repository, args: argparse.Namespace) -> int:
    from harness.archives import model_store

    if args.store or not args.env:
        raise UsageError(
            "the store of which environment?", hint="harness models gc --env staging --store"
        )
    with console.step("Job in the cluster"):
        found = model_store.sweep(checkout, args.env, args.context, remove=args.yes)
    if args.json:
        unneeded = [{"name": each.name, "size": each.size} for each in found]
        print(json.dumps({"unneeded": unneeded, "removed": args.yes}, indent=2))
        return 0
    done = "removed" if args.yes else "to remove with --yes"
    size = sum(each.size for each in found) / 1e6
    lines = [each.name for each in found]
    print("\n".join([*lines, f"store of {args.env}: {len(found)} ({size:,.1f} MB) {done}"]))
    return 0


def _bucket(checkout: Repository, env: str | None) -> "Bucket":
    from harness.archives import push

    if not env:
        raise UsageError("--env is missing: whose bucket?")
    return push.find(checkout, env)
