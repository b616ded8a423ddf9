"""``harness smoke``: live checks of an installation."""

import argparse

from harness.core import repository
from harness.core.errors import HarnessError, UsageError
from harness.smoke import report, run, target


def register(parser: argparse.ArgumentParser) -> None:
    """Add which environment, and where it runs."""
    parser.add_argument("--env", default="local", help="the environment (local)")
    parser.add_argument("--context", help="of KUBECONFIG; default: the local cluster of ENV, else "
                        "KUBECONFIG's current one")  # fmt: skip
    parser.add_argument(
        "--embedded", action="store_true", help="start TorchServe on this machine and check that"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    checkout, clock = repository.find(), run.Clock()
    folder = checkout.build / "smoke" / args.env
    try:
        with target.find(checkout, args.env, context=args.context, embedded=args.embedded) as found:
            result = run.run(found)
    except UsageError:
        raise
    except HarnessError as error:
        where = target.EMBEDDED if args.embedded else args.context or "no cluster"
        result = run.nothing_to_check(args.env, where, error, clock)
    report.write(result, folder)
    print(result.model_dump_json(indent=2) if args.json else report.text(result, folder))
    return report.EXIT_CODE[result.verdict]
