"""``harness groups``: the serving groups of an environment, and models that move between them."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from harness.cli import options
from harness.core import console
from harness.core.repository import FIRST_GROUP
from harness.core.repository import find as find_repository
from harness.settings import gates, group_layout, groups

_STEP = {
    1: "{model} is served by {source} and {target}; its requests still go to {source}",
    2: "{model}'s requests go to {target}; {source} still serves it",
    3: "{model} is served by {target} alone",
}
_BY_WAY_OF = (
    "step 2 changes two routes: for a moment {model}'s requests may go to {first}, which does not "
    "have it; to lose none, move it to {first} first (docs/groups.md)"
)
_UNTESTED = "the Helm test of {source} asked {model}: write another one under values.test of {file}"
_NEXT = "next: make check, commit, merge; once harness status --env {env} shows everything Ready: "


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    if action == "list":
        options.add_env(parser)
        parser.set_defaults(run=_list)
        return
    options.add_shared_env(parser)
    if action == "adopt-layout":
        parser.set_defaults(run=_adopt_layout)
        return
    if action == "move":
        parser.add_argument("model", metavar="MODEL", help="a model that a group serves")
        parser.add_argument("--to", required=True, metavar="GROUP", help="the group it moves to")
        parser.set_defaults(run=_move)
        return
    parser.add_argument("group", metavar="GROUP", help="name of the group")
    if action == "add":
        parser.add_argument("models", nargs="+", metavar="MODEL", help="what it serves")
        parser.add_argument(
            "--like",
            metavar="GROUP",
            help="group whose values it gets (default: the only one, or torchserve)",
        )
        parser.add_argument(
            "--set", metavar="SET", help="image set that it runs (default: that of --like)"
        )
    parser.set_defaults(run=_add if action == "add" else _remove)


def _list(args: argparse.Namespace) -> int:
    listed = groups.read(find_repository(), args.env)
    if args.json:
        print(json.dumps({"groups": [asdict(group) for group in listed]}, indent=2))
        return 0
    for group in listed:
        unrouted = [f"{model} (no requests yet)" for model in group.unrouted]
        print(f"{group.name:<20}{', '.join([*group.models, *unrouted])}")
    return 0


def _add(args: argparse.Namespace) -> int:
    repository = find_repository()
    changes = groups.add(repository, args.env, args.group, args.models, args.like, args.set)
    written = groups.apply(repository, args.env, changes)
    [group] = [each for each in groups.read(repository, args.env) if each.name == args.group]
    following = ["set its replicas, gpus and resources in helmrelease.yaml, then: make check"]
    following += [
        f"harness groups add … --env {target}, since {args.env} is promoted to it"
        for target, source in gates.sources(repository).items()
        if source == args.env
    ]
    for model in group.unrouted:
        note = f"another group serves {model}: it gets no requests here yet"
        following.append(f"{note}; harness groups move {model} --to {group.name} --env {args.env}")
    if group.models:
        names = ", ".join(group.models)
        following.append(f"name {names} in the mix of clusters/{args.env}/loadtest.yaml")
    return _report(args, written, {"group": asdict(group)}, following)


def _remove(args: argparse.Namespace) -> int:
    repository = find_repository()
    [group] = [
        *(each for each in groups.read(repository, args.env) if each.name == args.group),
    ] or [groups.Group(args.group, (), ())]
    written = groups.apply(repository, args.env, groups.remove(repository, args.env, args.group))
    following = ["make check; a merge removes its pods and nothing of another group"]
    if group.models:
        names = ", ".join(group.models)
        following.insert(0, f"no longer served: {names}; take it out of the load test's mix too")
    return _report(args, written, {"group": asdict(group)}, following)


def _move(args: argparse.Namespace) -> int:
    repository = find_repository()
    step = groups.move(repository, args.env, args.model, args.to)
    written = groups.apply(repository, args.env, step.changes)
    names = {"model": args.model, "source": step.source, "target": args.to, "env": args.env}
    is_last = step.step in (0, groups.LAST_STEP)
    again = f"harness groups move {args.model} --to {args.to} --env {args.env}"
    following = [] if is_last else [_NEXT.format(**names) + again]
    state = _STEP[step.step or 3].format(**names)
    heading = f"step {step.step} of 3: {state}" if step.step else f"nothing to do: {state}"
    if step.step in (1, 2) and FIRST_GROUP not in (step.source, args.to):
        following.insert(0, _BY_WAY_OF.format(**names, first=FIRST_GROUP))
    if untested := [str(path) for path in written if path.name == "helmrelease.yaml"]:
        following.append(_UNTESTED.format(**names, file=untested[0]))
    return _report(args, written, {"step": step.step, "state": state}, [heading, *following])


def _adopt_layout(args: argparse.Namespace) -> int:
    repository = find_repository()
    changes = group_layout.adopt(repository, args.env)
    written = groups.apply(repository, args.env, changes)
    following = [f"git add -A apps/torchserve/{args.env} && make check"]
    return _report(args, written, {}, following)


def _report(
    args: argparse.Namespace,
    written: Mapping[Path, str | None],
    facts: Mapping[str, object],
    following: list[str],
) -> int:
    """Print what changed and what comes next."""
    changed = [path.as_posix() for path, text in written.items() if text is not None]
    removed = [path.as_posix() for path, text in written.items() if text is None]
    if args.json:
        rows = {"written": changed, "removed": removed, **facts, "next": following}
        print(json.dumps(rows, indent=2))
        return 0
    for word, names in (("wrote", changed), ("removed", removed)):
        for name in names:
            print(f"{word} {name}")
    for line in following:
        console.note(line)
    return 0
