"""``harness models``: build, lock, list and verify the archives."""

import argparse
import json

from harness.cli import adopt, bucket, model_audit, new_model, record
from harness.core import console
from harness.core.repository import find as find_repository
from harness.models import pins, provenance, verify
from harness.models.build import build, pinned_sources, store
from harness.models.catalog import load_catalog
from harness.models.lock import Lock, load_lock, to_commit, write_lock
from harness.models.lock import sources as lock_sources


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    if action in ("build", "lock"):
        parser.add_argument(
            "--rebuild", action="store_true", help="build every archive, changed or not"
        )
    if action in _ELSEWHERE:
        _ELSEWHERE[action].register(parser, action)
    else:
        parser.set_defaults(run=_ACTIONS[action])


def _build(args: argparse.Namespace) -> int:
    _print_lock(build(find_repository(), rebuild=args.rebuild), as_json=args.json)
    return 0


def _lock(args: argparse.Namespace) -> int:
    from harness.models.audit import refuse_pickles

    repository = find_repository()
    built = build(repository, rebuild=args.rebuild)
    catalog = load_catalog(repository.models)
    refuse_pickles(store(repository), catalog, built)
    versions = {name: model.all_versions for name, model in catalog.models.items()}
    committed = load_lock(repository.lock) if repository.lock.is_file() else Lock()
    lock = to_commit(versions, built, committed)
    built_from = lock_sources(repository.lock)
    for name, model in catalog.models.items():
        if built.archive(name, model.version) == lock.archive(name, model.version):
            built_from[name] = provenance.digest(model, repository.models / name)
    changed = write_lock(repository.lock, lock, built_from)
    used = {
        text
        for name, model in catalog.models.items()
        for version in (model, *model.older())
        for text in pinned_sources(version, repository.models / name)
    }
    if pins.commit(repository.models, used):
        console.note(f"wrote {pins.NAME}: what the models' addresses hold")
    for name, locked in lock.archives():
        if locked.unset:
            console.note(f"! {name} {locked.version} stays UNSET: its weights are not available")
        elif built.archive(name, locked.version) != lock.archive(name, locked.version):
            console.note(f"! {name} {locked.version} is kept: it was not built on this machine")
    console.note(f"{'wrote' if changed else 'unchanged:'} {repository.lock.name}")
    _print_lock(lock, as_json=args.json)
    return 0


def _list(args: argparse.Namespace) -> int:
    _print_lock(load_lock(find_repository().built_models / "lock.yaml"), as_json=args.json)
    return 0


def _verify(args: argparse.Namespace) -> int:
    problems = verify.problems(find_repository())
    if args.json:
        print(json.dumps({"problems": problems}, indent=2))
    else:
        print("\n".join(problems) or "every archive matches the locks")
    return 1 if problems else 0


def _print_lock(lock: Lock, *, as_json: bool) -> None:
    if as_json:
        print(lock.model_dump_json(indent=2))
        return
    for _, locked in lock.archives():
        size = "" if locked.unset else f"{locked.size / 1e6:.1f} MB"
        print(f"{locked.mar:60}{size:>10}")


_ACTIONS = {"build": _build, "lock": _lock, "list": _list, "verify": _verify}
_ELSEWHERE = {
    "new": new_model,
    "push": bucket,
    "pull": bucket,
    "gc": bucket,
    "adopt": adopt,
    "record": record,
    "audit": model_audit,
}
