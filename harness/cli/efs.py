"""``harness efs``: the file system behind the model store, made, shown and removed."""

import argparse
import json
import sys

from harness.aws import Aws
from harness.core import console, repository
from harness.core.errors import InputError, UsageError
from harness.core.repository import Repository
from harness.efs import permissions, plan, settings, state
from harness.efs.provision import Provision, site_changes, write_ids
from harness.settings import site


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness efs``."""
    parser.add_argument(
        "action",
        choices=["plan", "apply", "status", "destroy", "policy"],
        help="plan: what would change · apply: change it · status: 1 where something differs · "
        "destroy: remove everything · policy: the IAM policy that this needs",
    )
    parser.add_argument("--env", required=True, help="the environment, such as staging")
    parser.add_argument("--yes", action="store_true", help="destroy: do not ask")
    parser.add_argument(
        "--with-data", action="store_true", help="destroy: even with data in it, or mounted"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    checkout = repository.find()
    wanted = settings.load(checkout, args.env)
    provision = Provision(site.aws(checkout, args.env, wanted.settings.region), wanted)
    if args.action == "policy":
        print(json.dumps(permissions.document(provision.aws, wanted), indent=2))
        return 0
    if args.action in ("apply", "destroy"):
        provision.aws.confirm_account()
    if args.action == "destroy":
        return _destroy(checkout, provision, args)
    return _converge(checkout, provision, args)


def _converge(checkout: Repository, provision: Provision, args: argparse.Namespace) -> int:
    aws, wanted = provision.aws, provision.desired
    cluster = state.cluster(aws, wanted)
    if args.action == "apply":
        written = write_ids(checkout, wanted, provision.up(cluster))
        lines = [*provision.applied, *(f"~ site.yaml: {line}" for line in written)]
        _show(
            args, lines, f"{args.env} is as it should be", made=provision.applied, written=written
        )
        if written:
            console.note(f"→ commit clusters/{args.env}/site.yaml: Flux reads it from Git")
        return 0
    found = state.collect(aws, wanted, cluster.vpc)
    faults = plan.stuck(wanted, found)
    changes = [change.text for change in plan.converge(wanted, cluster, found)]
    ids = site_changes(checkout, wanted, found) if found.file_system else {}
    lines = [f"! {fault}" for fault in faults] + changes
    lines += [f"~ site.yaml: {name} {value}" for name, value in ids.items()] + found.pending
    _show(args, lines, f"{args.env} is as it should be", faults=faults, changes=changes, ids=ids)
    return 1 if faults or (args.action == "status" and lines) else 0


def _destroy(checkout: Repository, provision: Provision, args: argparse.Namespace) -> int:
    if taken_over := provision.desired.settings.file_system:
        raise UsageError(
            f"{taken_over} was taken over, not made here: it is not removed here either",
            hint=f"take fileSystem out of infra/efs/{args.env}.yaml, or remove it by hand",
        )
    found = state.collect(provision.aws, provision.desired)
    if found.file_system and not args.with_data:
        _refuse_use(provision.aws, found.file_system)
    changes = [change.text for change in plan.demolish(found)]
    if changes and not args.yes:
        console.note("\n".join([f"{provision.aws.place}:", *changes]))
        if not sys.stdin.isatty():
            raise UsageError("no terminal to confirm on", hint="use --yes")
        if input(f"Type {args.env} to remove all of this: ") != args.env:
            raise UsageError("not confirmed: nothing was removed")
    provision.down()
    written = write_ids(checkout, provision.desired, state.State())
    _show(
        args, [*provision.applied], "there is nothing left", made=provision.applied, written=written
    )
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
