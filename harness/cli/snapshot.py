"""``harness snapshot``: write TorchServe's generated files and the rules of its SLOs, check them,
import old ones.
"""

import argparse
import difflib
import json
from collections.abc import Iterable
from pathlib import Path

from harness.burn_rate import rules
from harness.cli import options
from harness.core import console, document, files
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.importing import reader, write
from harness.importing.merge import Key
from harness.snapshot import config
from harness.snapshot.server import ServerSettings

# Where the file says nothing: one GPU, and as many threads as Netty thinks right.
_LIKE = ServerSettings.model_validate(
    {"numberOfGpu": 1, "jobQueueSize": 100, "numberOfNettyThreads": 0}
)


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    if action == "import":
        parser.add_argument("file", type=Path, metavar="FILE", help="a config.properties")
        parser.add_argument(
            "--env", help="environment whose serving.yaml is written (default: only print it)"
        )
        options.add_group(parser, "group whose serving.yaml is written")
        parser.add_argument("--force", action="store_true", help="replace an existing serving.yaml")
        parser.set_defaults(run=_import)
        return
    options.add_every_env(parser, "every environment that has a serving.yaml")
    parser.add_argument("--group", help="group of the environment (default: every one)")
    parser.add_argument(
        "--lock", type=Path, metavar="FILE", help="the archives' lock (default: models/lock.yaml)"
    )
    parser.set_defaults(run=_write if action == "write" else _check)


def _write(args: argparse.Namespace) -> int:
    repository = find_repository()
    environments, stale, orphaned = _differences(repository, args)
    if args.json:
        print(_as_json(repository, environments, stale, orphaned))
    for path, text in stale.items():
        files.write(path, text)
        console.note(f"wrote {path.relative_to(repository.root)}")
    for path in orphaned:
        files.remove(path)
        console.note(f"removed {path.relative_to(repository.root)}: its environment is gone")
    return 0


def _check(args: argparse.Namespace) -> int:
    repository = find_repository()
    environments, stale, orphaned = _differences(repository, args)
    if args.json:
        print(_as_json(repository, environments, stale, orphaned))
    else:
        diffs = [_diff(repository, path, text) for path, text in stale.items()]
        diffs += [
            f"{path.relative_to(repository.root)}: its environment is gone\n" for path in orphaned
        ]
        print("".join(diffs) or "fresh\n", end="")
    if stale or orphaned:
        which = f"--env {args.env}" if args.env else "--all"
        console.note(f"next: harness snapshot write {which}")
    return 1 if stale or orphaned else 0


def _differences(
    repository: Repository, args: argparse.Namespace
) -> tuple[list[str], dict[Path, str], list[Path]]:
    """Return the environments, their stale files with the text that belongs there, and, if all are
    looked at, the files that belong to none.
    """
    if args.group and not args.env:
        raise UsageError("--group needs --env", hint="--all is every group of every environment")
    environments = [args.env] if args.env else _with_groups(repository)
    if not environments:
        raise UsageError(
            "no environment has a serving.yaml", at=repository.root / "apps/torchserve"
        )
    stale: dict[Path, str] = {}
    for env in environments:
        stale |= config.stale(repository, env, args.lock, args.group)
        stale |= rules.stale(repository, env)
    return environments, stale, [] if args.env else rules.orphans(repository)


def _with_groups(repository: Repository) -> list[str]:
    """The environments that serve something; one of the layout before groups is among them."""
    app = repository.root / "apps/torchserve"
    groups = app.glob("*/*/serving.yaml")
    flat = app.glob("*/serving.yaml")
    serving = {*(path.parts[-3] for path in groups), *(path.parts[-2] for path in flat)}
    return sorted(serving & {*repository.environments})  # what is left of others, check finds


def _as_json(
    repository: Repository, environments: list[str], stale: Iterable[Path], orphaned: Iterable[Path]
) -> str:
    names = {
        key: [str(path.relative_to(repository.root)) for path in paths]
        for key, paths in (("stale", stale), ("orphaned", orphaned))
    }
    return json.dumps({"environments": environments, **names}, indent=2)


def _diff(repository: Repository, path: Path, text: str) -> str:
    old = document.read_text(path) if path.is_file() else ""
    lines = old.splitlines(keepends=True), text.splitlines(keepends=True)
    name = path.relative_to(repository.root).as_posix()
    return "".join(difflib.unified_diff(*lines, name, f"{name} (fresh)"))


def _import(args: argparse.Namespace) -> int:
    repository = find_repository()
    target = repository.group(args.env, args.group) / "serving.yaml" if args.env else None
    if target and target.exists() and not args.force:
        raise UsageError("already exists", at=target, hint="--force replaces it")
    if not args.file.is_file():
        raise InputError("no such file", at=args.file)
    imported = reader.read([str(args.file)], _LIKE)
    written, serving = write.apply_part(repository, imported, target)
    remarks = [_remark(each) for each in imported.keys]
    names = [str(path.relative_to(repository.root)) for path in written]
    if args.json:
        print(json.dumps({"written": names, "serving": serving, "remarks": remarks}, indent=2))
        return 0
    for name in names:
        console.note(f"wrote {name}")
    for remark in remarks:
        line = f" (line {remark['line']})" if remark["line"] else ""
        console.note(f"{remark['key']}{line}: {remark['why']}")
    print(serving, end="")
    return 0


def _remark(key: Key) -> dict[str, object]:
    line = key.at.rpartition(":")[2]
    return {"key": key.key, "line": int(line) if line.isdecimal() else None, "why": key.text}
