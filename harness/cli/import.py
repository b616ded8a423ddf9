"""``harness import``: whatever somebody's TorchServe is started with becomes an environment."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from harness.cli.commands import VERBS
from harness.core import console
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.importing import reader, report, write
from harness.importing.outcome import Imported
from harness.importing.write import Target
from harness.models.catalog import load_catalog
from harness.snapshot.serving import load_settings

_READ = ("apps", "clusters", "infra", "models")


def register(parser: argparse.ArgumentParser) -> None:
    """Add the sources and the environment that they become."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="config.properties, *-startup.cfg, Dockerfile, compose, Kubernetes, KServe or Helm "
        "values file, script, folder of archives, 'torchserve --start …', NAME=VALUE of a "
        "variable, or http://HOST:8081 of a running server",
    )
    parser.add_argument("--env", required=True, help="environment that is written")
    parser.add_argument(
        "--like",
        default="staging",
        metavar="ENV",
        help="environment that a new one is made like (default: staging)",
    )
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="the old model store, mounted or copied"
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="workers of a model where only the old machine's GPUs or cores decided",
    )
    parser.add_argument("--apply", action="store_true", help="write it (default: only show it)")
    parser.add_argument(
        "--force", action="store_true", help="replace what an existing environment serves"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show what becomes of the sources, and write it; 1 if TorchServe would not start with them."""
    repository = find_repository()
    like = repository.group(args.like) / "serving.yaml"
    settings = load_settings(like, load_catalog(repository.models))
    imported = reader.read(args.sources, settings.server, args.store, args.workers)
    target = Target(args.env, args.like, force=args.force, dry_run=not args.apply)
    written = []
    if not imported.refused:
        written = _apply(repository, imported, target)
    names = [path.relative_to(repository.root).as_posix() for path in written]
    audit = "audit" in VERBS["models"].actions
    steps = report.next_steps(imported, args.env, applied=args.apply, audit=audit)
    if args.json:
        fields = report.as_json(imported) | {"applied": args.apply and not imported.refused}
        print(json.dumps(fields | {"files": names, "next": steps}, indent=2))
        return 1 if imported.refused else 0
    print(report.as_text(imported), end="")
    if imported.refused:
        for problem in imported.refused:
            console.note(f"✗ {problem.location}: {problem.message}")
        also = "; TorchServe 0.12 does not start with that either" if imported.problems else ""
        console.note(f"nothing was written{also}")
        return 1
    verb = "wrote" if args.apply else "would write"
    print("\n" + "\n".join(f"{verb} {name}" for name in names))
    for number, step in enumerate(steps):
        console.note(f"{'next: ' if number == 0 else '      '}{step}")
    return 0


def _apply(repository: Repository, imported: Imported, target: Target) -> list[Path]:
    """Write the environment; for a dry run, in a copy of the repository that is thrown away."""
    if not target.dry_run:
        return write.apply(repository, imported, target)
    write.refuse_existing(repository, target)  # with its path here, not in the copy
    with tempfile.TemporaryDirectory() as scratch:
        for name in _READ:
            shutil.copytree(
                repository.root / name,
                Path(scratch, name),
                symlinks=True,
                ignore=shutil.ignore_patterns("*.mar", "*.pt", "*.pth", "*.safetensors"),
            )
        copy = Repository(Path(scratch).resolve())
        try:
            written = write.apply(copy, imported, target)
        except InputError as error:
            raise error.relocate(copy.root, repository.root) from error
        return [repository.root / path.relative_to(copy.root) for path in written]
