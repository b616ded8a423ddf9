"""``harness notes``: what the last move of an environment's pointer brought to it."""

import argparse
import json

from harness.cli import tools
from harness.core import console, files, repository
from harness.render.environment import Renderer
from harness.review import notes


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help="whose pointer, such as production")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the notes, and leave them in build/notes."""
    here = repository.find()
    tools.set_up(here)
    move = notes.last_move(Renderer(here), args.env)
    text = notes.page(move)
    path = here.build / "notes" / f"{args.env}.md"
    files.write(path, text)
    console.note(f"wrote {path.relative_to(here.root)}")
    if args.json:
        answer = {"environment": move.env, "old": move.old, "new": move.new, "day": move.day}
        print(json.dumps({**answer, "commits": move.commits, "text": text}, indent=2))
    else:
        print(text, end="")
    return 0
