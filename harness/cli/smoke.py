"""``harness smoke``: live checks of an installation."""

import argparse

from harness.cli import options
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import find as find_repository
from harness.smoke import report, run, target


def register(parser: argparse.ArgumentParser) -> None:
    """Add the environment, and where it runs."""
    options.add_env(parser)
    where = parser.add_mutually_exclusive_group()
    options.add_context(where)
    where.add_argument(
        "--embedded",
        action="store_true",
        help="start TorchServe on this machine with the environment's settings, and check that",
    )
    options.add_group(parser, "group that --embedded serves")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    repository, clock = find_repository(), run.Clock()
    folder = repository.build / "smoke" / args.env
    try:
        with target.find(
            repository,
            args.env,
            context=args.context,
            embedded=args.embedded,
            group=args.group,
        ) as installation:
            result = run.run(installation)
    except UsageError:
        raise
    except HarnessError as error:
        where = target.EMBEDDED if args.embedded else args.context or "no cluster"
        result = run.nothing_to_check(args.env, where, error, clock)
    report.write(result, folder)
    print(result.model_dump_json(indent=2) if args.json else report.text(result, folder))
    return report.EXIT_CODE[result.verdict]
