"""``harness release notes``: changes that the last move of a pointer brought."""

import argparse
import json

from harness.cli import options, tools
from harness.core import console, files
from harness.core.repository import find as find_repository
from harness.render.renderer import Renderer
from harness.review import notes


def register(parser: argparse.ArgumentParser) -> None:
    options.add_shared_env(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the notes, and write them to build/notes."""
    repository = find_repository()
    repository.cluster(args.env)
    tools.set_up(repository)
    move = notes.last_move(Renderer(repository), args.env)
    text = notes.page(move)
    path = repository.build / "notes" / f"{args.env}.md"
    files.write(path, text)
    console.note(f"wrote {path.relative_to(repository.root)}")
    if args.json:
        answer = {"environment": move.env, "old": move.old, "new": move.new, "day": move.day}
        print(json.dumps({**answer, "commits": move.commits, "text": text}, indent=2))
    else:
        print(text, end="")
    return 0
