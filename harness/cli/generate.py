"""``harness generate``: writes the files that are made from other tracked files, or checks them."""

import argparse
import json
import pkgutil
from pathlib import Path

from harness import dashboards
from harness.chart.generate import generate
from harness.core import files, yamlfile
from harness.core.repository import find as find_repository
from harness.policy import engine, report

CHART = "apps/torchserve/chart"
RULES = "docs/rules.md"
# The files that people write, and the model that reads each: editors take its schema.
SCHEMAS = {
    "model.yaml": "harness.models.catalog:Model",
    "recorded.yaml": "harness.models.catalog:RecordedSamples",
    "dashboard.yaml": "harness.dashboards:Dashboard",
    "serving.yaml": "harness.snapshot.serving:ServingSettings",
    "efs.yaml": "harness.efs.settings:Settings",
    "loadtest.yaml": "harness.loadtest.profile:Profile",
    "promotion.yaml": "harness.settings.gates:Gates",
    "verdicts.yaml": "harness.audit.verdict:Verdicts",
}


def register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file is stale"
    )
    parser.set_defaults(run=run)


def schema_path(name: str) -> str:
    """Where the schema of a file is, by the file's name."""
    return f"schemas/{name.replace('.yaml', '.json')}"


def schemas(root: Path) -> dict[Path, str]:
    """The JSON schema of each kind of file that people write, from the model that reads it."""
    files = {}
    for name, model in SCHEMAS.items():
        schema = pkgutil.resolve_name(model).model_json_schema()
        draft = {"$schema": "http://json-schema.org/draft-07/schema#"}
        files[root / schema_path(name)] = json.dumps({**draft, **schema}, indent=2) + "\n"
    return files


def run(args: argparse.Namespace) -> int:
    """Write each stale file, or only list it."""
    root = find_repository().root
    expected = {
        **generate(root / CHART),
        **dashboards.generate(root),
        root / RULES: report.as_markdown(engine.load_rules()),
        **schemas(root),
    }
    stale = sorted(
        path.relative_to(root).as_posix()
        for path, text in expected.items()
        if not path.is_file() or yamlfile.read_text(path) != text
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
