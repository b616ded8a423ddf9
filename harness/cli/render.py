"""``harness render``: an environment as its cluster will hold it, as YAML."""

import argparse
import json

import yaml

from harness.cli import options, tools
from harness.core import console
from harness.core.errors import UsageError
from harness.core.repository import find as find_repository
from harness.render.rendered import Environment
from harness.render.renderer import Renderer


def register(parser: argparse.ArgumentParser) -> None:
    options.add_env(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--commit", help="commit to render (default: the working tree)")
    which.add_argument(
        "--live", action="store_true", help="render the commit to which the environment is pinned"
    )
    parser.add_argument(
        "--only",
        metavar="KIND",
        action="append",
        help="kind of the objects to print; repeatable (default: every kind)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the objects; exit 1 if something could not be rendered."""
    environment = _render(args)
    rendered = (*environment.objects, *environment.third_party)
    objects = [each for each in rendered if not args.only or each.kind in args.only]
    if args.json:
        rows = [
            {"source": str(each.at()), "owner": str(each.owner), "object": each.value}
            for each in objects
        ]
        print(json.dumps(rows, indent=2, default=str))
    else:
        for each in objects:
            print(f"---\n# {each.owner}: {each.at()}")
            print(yaml.safe_dump(each.value, sort_keys=False, allow_unicode=True), end="")
    for fault in environment.faults:
        console.note(f"{fault.location}: {fault.object}: {fault.message}")
    return 1 if any(each.rule != "render/not-rendered" for each in environment.faults) else 0


def _render(args: argparse.Namespace) -> Environment:
    repository = find_repository()
    repository.cluster(args.env)
    tools.set_up(repository)
    renderer = Renderer(repository)
    if args.commit:
        return renderer.at(args.env, args.commit)
    if not args.live:
        return renderer.candidate(args.env)
    live = renderer.live(args.env)
    if live is None:
        raise UsageError(
            f"{args.env} pins no commit", hint=f"see ref in clusters/{args.env}/release.yaml"
        )
    return live
