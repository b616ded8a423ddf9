"""``harness efs``: the file system behind the model store, created, compared and removed."""

import argparse
import json

from harness.aws import Aws
from harness.cli import options
from harness.core import console
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.efs import permissions, plan, settings, state
from harness.efs.provision import Provision, site_changes, write_ids
from harness.settings import site


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    options.add_shared_env(parser)
    if action == "destroy":
        parser.add_argument("--yes", action="store_true", help="remove without asking")
        parser.add_argument(
            "--with-data", action="store_true", help="remove it even if it has data or is mounted"
        )
    parser.set_defaults(run=_run, action=action)


def _run(args: argparse.Namespace) -> int:
    repository = find_repository()
    expected = settings.load(repository, args.env)
    provision = Provision(site.aws(repository, args.env, expected.region), expected)
    if args.action == "policy":
        print(json.dumps(permissions.document(provision.aws, expected), indent=2))
        return 0
    if args.action in ("apply", "destroy"):
        provision.aws.confirm_account()
    if args.action == "destroy":
        return _destroy(repository, provision, args)
    return _converge(repository, provision, args)


def _converge(repository: Repository, provision: Provision, args: argparse.Namespace) -> int:
    aws, expected = provision.aws, provision.desired
    cluster = state.cluster(aws, expected)
    if args.action == "apply":
        written = write_ids(repository, expected, provision.up(cluster))
        lines = [*provision.applied, *(f"~ site.yaml: {line}" for line in written)]
        _show(args, lines, f"{args.env} is up to date", made=provision.applied, written=written)
        if written:
            console.note(f"→ commit clusters/{args.env}/site.yaml: Flux reads it from Git")
        return 0
    current = state.collect(aws, expected, cluster.vpc)
    faults = plan.stuck(expected, current)
    changes = [change.text for change in plan.converge(expected, cluster, current)]
    ids = site_changes(repository, expected, current) if current.file_system else {}
    lines = [f"! {fault}" for fault in faults] + changes
    lines += [f"~ site.yaml: {name} {value}" for name, value in ids.items()] + current.pending
    _show(args, lines, f"{args.env} is up to date", faults=faults, changes=changes, ids=ids)
    return 1 if faults or (args.action == "status" and lines) else 0


def _destroy(repository: Repository, provision: Provision, args: argparse.Namespace) -> int:
    if adopted := provision.desired.settings.file_system:
        raise UsageError(
            f"{adopted} was adopted, not created here: it is not removed here either",
            hint=f"take fileSystem out of clusters/{args.env}/efs.yaml, or remove it by hand",
        )
    current = state.collect(provision.aws, provision.desired)
    if current.file_system and not args.with_data:
        _refuse_use(provision.aws, current.file_system)
    changes = [change.text for change in plan.demolish(current)]
    if changes and not args.yes:
        options.confirm(args.env, "\n".join([f"{provision.aws.place}:", *changes]))
    provision.down()
    written = write_ids(repository, provision.desired, state.State())
    _show(args, [*provision.applied], "nothing to remove", made=provision.applied, written=written)
    return 0


def _refuse_use(aws: Aws, system: state.FileSystem) -> None:
    clients = state.connections(aws, system.id)
    if clients or system.size > plan.EMPTY_BYTES:
        raise InputError(
            f"{system.id} holds {system.size:,} bytes and {clients} clients have it mounted",
            hint="stop what mounts it; --with-data removes it all the same",
        )


def _show(args: argparse.Namespace, lines: list[str], nothing: str, **answer: object) -> None:
    print(json.dumps(answer, indent=2) if args.json else "\n".join(lines) or nothing)
