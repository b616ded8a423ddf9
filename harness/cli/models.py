"""``harness models``: build the archives, lock, list and verify them, push them."""

import argparse
import json
from collections.abc import Callable

from harness.cli import adopt, store
from harness.core import console, repository
from harness.core.repository import Repository
from harness.models import verify
from harness.models.build import build
from harness.models.catalog import load_catalog
from harness.models.lock import Lock, load_lock, to_commit, write_lock


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness models``."""
    parser.add_argument(
        "action",
        choices=list(_ACTIONS),
        help="build what changed · lock: write what was built to models/lock.yaml · "
        "list: versions and sizes · verify: do the archives fit the locks? · "
        "push: to the environment's bucket · gc: remove what no release needs from there · "
        "adopt: lock what a store filled by hand has",
    )
    parser.add_argument("--rebuild", action="store_true", help="build: everything, and afresh")
    store.register(parser)
    adopt.register(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    return _ACTIONS[args.action](repository.find(), args)


def _build(checkout: Repository, args: argparse.Namespace) -> int:
    _show(build(checkout, rebuild=args.rebuild), as_json=args.json)
    return 0


def _lock(checkout: Repository, args: argparse.Namespace) -> int:
    built = build(checkout, rebuild=args.rebuild)
    wanted = {name: model.version for name, model in load_catalog(checkout.models).models.items()}
    committed = load_lock(checkout.lock) if checkout.lock.is_file() else Lock()
    lock = to_commit(wanted, built, committed)
    changed = write_lock(checkout.lock, lock)
    for name, locked in lock.models.items():
        if locked.unset:
            console.note(f"! {name} {locked.version} stays UNSET: its weights could not be had")
        elif built.models.get(name) != locked:
            console.note(f"! {name} {locked.version} is kept: it was not built on this machine")
    console.note(f"{'wrote' if changed else 'unchanged:'} {checkout.lock.name}")
    _show(lock, as_json=args.json)
    return 0


def _list(checkout: Repository, args: argparse.Namespace) -> int:
    _show(load_lock(checkout.built_models / "lock.yaml"), as_json=args.json)
    return 0


def _verify(checkout: Repository, args: argparse.Namespace) -> int:
    problems = verify.problems(checkout)
    if args.json:
        print(json.dumps({"problems": problems}, indent=2))
    else:
        print("\n".join(problems) or "every archive is what the locks say")
    return 1 if problems else 0


def _show(lock: Lock, *, as_json: bool) -> None:
    if as_json:
        print(lock.model_dump_json(indent=2))
        return
    for locked in lock.models.values():
        size = "" if locked.unset else f"{locked.size / 1e6:.1f} MB"
        print(f"{locked.mar:60}{size:>10}")


_ACTIONS: dict[str, Callable[[Repository, argparse.Namespace], int]] = {
    "build": _build,
    "lock": _lock,
    "list": _list,
    "verify": _verify,
    "push": store.push,
    "gc": store.gc,
    "adopt": adopt.adopt,
}
