"""``harness init``: writes a site's values wherever they are needed, or adds an environment."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from harness.burn_rate import rules
from harness.cli import options
from harness.core import console, files
from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.settings import new_environment, site
from harness.snapshot import config


def register(parser: argparse.ArgumentParser) -> None:
    options.add_shared_env(parser)
    parser.add_argument(
        "settings",
        nargs="*",
        metavar="NAME=VALUE",
        help="settings to write (default: list those that are unset)",
    )
    parser.add_argument(
        "--like", metavar="ENV", help="existing environment to add a new one from, such as staging"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the settings, and list those that are still unset."""
    repository, settings = find_repository(), _pairs(args.settings)
    if args.like:
        written = _add(repository, args.env, args.like, settings)
    else:
        repository.cluster(args.env)
        written = site.fill(repository, args.env, settings)
    names = [path.relative_to(repository.root).as_posix() for path in written]
    unset = sorted(
        {each.name for each in site.read(repository, args.env) if each.value == site.UNSET}
    )
    if args.json:
        print(json.dumps({"written": names, "unset": unset}, indent=2))
        return 0
    for name in names:
        print(f"wrote {name}")
    print(f"{len(unset)} settings of {args.env} are unset" if unset else f"{args.env} is filled in")
    for name in unset:
        print(f"  {name:<28}{site.SETTINGS[name].what}")
    return 0


def _add(repository: Repository, env: str, like: str, settings: Mapping[str, str]) -> list[Path]:
    """Add an environment with a fresh snapshot; nothing of it stays if one step fails.

    Returns:
        The files that its settings are in.
    """
    folders = new_environment.create(repository, env, like)
    try:
        written = site.fill(repository, env, settings)
        stale = config.stale(repository, env) | rules.stale(repository, env)
        folders += {
            path.parent for path in stale if not any(each in path.parents for each in folders)
        }
        for path, text in stale.items():
            files.write(path, text)
    except BaseException:
        new_environment.discard(folders)
        raise
    for folder in folders:
        console.note(f"added {folder.relative_to(repository.root)}")
    console.note(f"next: make check, then harness init --env {env} NAME=VALUE for what is unset,")
    console.note(f"      commit, and harness bootstrap plan --env {env} (docs/environments.md)")
    return written


def _pairs(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"{name!r} is not NAME=VALUE")
    return {name: value for name, _, value in pairs}
