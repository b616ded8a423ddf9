"""``harness loadtest``: a load profile on an endpoint, and a verdict on both."""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness import embedded_server
from harness.core import console, repository
from harness.core.errors import HarnessError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.loadtest import (
    Release,
    Report,
    Target,
    compare,
    gateway,
    load_profile,
    report,
    run,
    swarm,
)
from harness.models.lock import load_lock
from harness.models.samples import load_samples
from harness.render import digest, tree
from harness.render.renderer import Renderer

EXIT_CODE = {"pass": 0, "fail": 1, "invalid": 3}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, and those of ``harness loadtest compare A B``."""
    parser.add_argument("--env", default="local", help="whose profile and target (default: local)")
    parser.add_argument("--target", metavar="URL", help="put the load there instead")
    parser.add_argument(
        "--embedded", action="store_true", help="start TorchServe here as ENV has it, load that"
    )
    parser.add_argument("--profile", type=Path, metavar="FILE", help="use this profile instead")
    parser.add_argument("--processes", type=int, default=1, help="generators on this machine")
    parser.add_argument(
        "--remote",
        metavar="N@HOST:PORT",
        help="wait at this address for N generators on other machines instead",
    )
    parser.add_argument("--out", type=Path, help="default: build/loadtest/ENV")
    parser.set_defaults(run=_run)
    actions = parser.add_subparsers(dest="action", metavar="compare")
    second = actions.add_parser("compare", help="is report B worse than report A?")
    second.add_argument("a", type=Path, metavar="A", help="a report.json")
    second.add_argument("b", type=Path, metavar="B", help="a later one, of the same profile")
    second.add_argument("--tolerance", type=float, default=0.05, help="a share; default: 0.05")
    second.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    second.set_defaults(run=_compare)


def _run(args: argparse.Namespace) -> int:
    checkout = repository.find()
    path = args.profile or checkout.cluster(args.env) / "loadtest.yaml"
    profile, workers = load_profile(path), swarm.workers(args.processes, args.remote)
    out = args.out or checkout.build / "loadtest" / args.env
    models = any(entry.model for entry in profile.mix)
    built = load_lock(checkout.built_models / "lock.yaml") if models else None
    samples = load_samples(checkout, built) if built else {}
    with _target(args, checkout, profile.protocol) as target:
        result = run(profile, target, samples, out, source=path, workers=workers)
    print_report(result, out, as_json=args.json)
    return EXIT_CODE[result.verdict]


def print_report(result: Report, folder: Path, *, as_json: bool = False) -> None:
    """Print the verdict first; ``folder`` is where the report was written."""
    print(report.brief(result) if as_json else report.text(result, folder))


@contextlib.contextmanager
def _target(args: argparse.Namespace, checkout: Repository, protocol: str) -> Iterator[Target]:
    if args.target:
        yield Target(args.target)
    elif args.embedded or args.env == "local":
        # Rendering takes the pinned programs, which `make loadtest ENV=local` does without.
        serves = _committed(checkout, args.env) if args.embedded else None
        with embedded_server.running(checkout, env=args.env) as served:
            grpc = f"http://{served.grpc_address}"
            url = grpc if protocol == "grpc" else served.inference_url
            yield Target(url, launcher_url=served.launcher_url, embedded=True, serves=serves)
    else:
        yield gateway.find(
            protocol,
            lambda commit: _digest(checkout, args.env, commit),
            from_here=not args.remote,
        )


def _committed(checkout: Repository, env: str) -> Release | None:
    """The release that the working tree is; None where it is no commit."""
    git = Git(checkout.root)
    commit = git.resolve("HEAD")
    if commit is None or git.changed(*tree.READ):
        return None
    return Release(commit=commit, digest=_digest(checkout, env, commit), helm="", pods="")


def _digest(checkout: Repository, env: str, commit: str) -> str | None:
    try:
        return digest.of(Renderer(checkout).at(env, commit))
    except HarnessError as error:
        console.note(f"no release digest, so the report is no evidence: {error}")
        return None


def _compare(args: argparse.Namespace) -> int:
    result = compare.compare(Report.read(args.a), Report.read(args.b), tolerance=args.tolerance)
    print(result.model_dump_json(indent=2) if args.json else compare.text(result))
    return EXIT_CODE[result.verdict]
