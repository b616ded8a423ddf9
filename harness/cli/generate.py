"""``harness generate``: writes the files that are made from other tracked files, or checks them."""

import argparse
import json

from harness.chart.generate import generate
from harness.core import files
from harness.core.repository import find as find_repository
from harness.policy import engine, report

CHART = "apps/torchserve/chart"
RULES = "docs/rules.md"


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file is stale"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write each stale file, or only list it."""
    root = find_repository().root
    expected = {**generate(root / CHART), root / RULES: report.as_markdown(engine.load_rules())}
    stale = sorted(
        path.relative_to(root).as_posix()
        for path, text in expected.items()
        if not path.is_file() or path.read_text() != text
    )
    if not args.check:
        for path, text in expected.items():
            files.write(path, text)
    if args.json:
        print(json.dumps({"written" if not args.check else "stale": stale}, indent=2))
    elif not stale:
        print(f"{len(expected)} generated files are fresh")
    else:
        print("\n".join(f"{'stale' if args.check else 'wrote'} {path}" for path in stale))
        if args.check:
            print("→ harness generate, and commit what it writes")
    return 1 if args.check and stale else 0
