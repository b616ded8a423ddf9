"""``harness loadtest``: a load profile sent to an endpoint, scripts read, two reports compared."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness import embedded_server
from harness.cli import options
from harness.core import console, document, files
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.git import Git
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.embedded_server import Server
from harness.loadtest import (
    Profile,
    Release,
    Report,
    ServingGroup,
    Target,
    compare,
    gateway,
    load_profile,
    run,
    scripts,
    swarm,
    terminal,
)
from harness.models.lock import load_lock
from harness.models.samples import load_samples
from harness.render import digest, tree
from harness.render.renderer import Renderer
from harness.settings.serving_file import ServingFile

_STDIN = Path("-")
EXIT_CODE = {"pass": 0, "fail": 1, "invalid": 3}


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    if action == "compare":
        parser.add_argument("a", type=Path, metavar="A", help="a report.json")
        parser.add_argument("b", type=Path, metavar="B", help="a later one of the same profile")
        parser.add_argument(
            "--tolerance",
            type=float,
            default=0.05,
            help="fraction by which a result may be worse (default: %(default)s)",
        )
        parser.set_defaults(run=_compare)
        return
    if action == "import":
        parser.add_argument(
            "files", type=Path, nargs="+", metavar="FILE", help="a script, or - for standard input"
        )
        parser.add_argument("--apply", action="store_true", help="write the profile")
        parser.add_argument(
            "--out", type=Path, metavar="FILE", help="profile (default: next to the first FILE)"
        )
        parser.add_argument("--force", action="store_true", help="replace an existing profile")
        parser.set_defaults(run=_import)
        return
    options.add_env(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--target",
        metavar="URL",
        help="endpoint (default: the gateway; for local as with --embedded)",
    )
    where.add_argument(
        "--embedded",
        action="store_true",
        help="start TorchServe on this machine, one for each group, and load that",
    )
    options.add_group(parser, "only group to start on this machine, and to load", "all")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="profile (default: clusters/ENV/loadtest.yaml)"
    )
    generators = parser.add_mutually_exclusive_group()
    generators.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="generators on this machine (default: %(default)s)",
    )
    generators.add_argument(
        "--remote",
        metavar="N@HOST:PORT",
        help="address at which to wait for N generators on other machines",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="report's folder (default: build/loadtest/ENV)"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    repository = find_repository()
    path = args.profile or repository.cluster(args.env) / "loadtest.yaml"
    profile, workers = load_profile(path), swarm.workers(args.processes, args.remote)
    if _is_embedded(args):
        profile = of_group(profile, repository, args.env, args.group)
    elif args.group:
        raise UsageError("--group needs --embedded", hint="the gateway leads to every group")
    out = args.out or repository.build / "loadtest" / args.env
    models = any(entry.model for entry in profile.mix)
    built = load_lock(repository.built_models / "lock.yaml") if models else None
    samples = load_samples(repository, built) if built else {}
    with _target(args, repository, profile.protocol) as target:
        result = run(profile, target, samples, out, source=path, workers=workers)
    print_report(result, out, as_json=args.json)
    return EXIT_CODE[result.verdict]


def print_report(result: Report, folder: Path, *, as_json: bool = False) -> None:
    """Print the verdict first; ``folder`` is where the report was written."""
    print(terminal.brief(result) if as_json else terminal.text(result, folder))


def of_group(profile: Profile, repository: Repository, env: str, group: str | None) -> Profile:
    """Return the profile without the models of other groups, if a group is given."""
    if not group or len(repository.groups(env)) == 1:
        return profile
    serving = ServingFile.read(repository.group(env, group) / "serving.yaml")
    return profile.of_models(sorted(serving.models))


def embedded_target(
    repository: Repository,
    env: str,
    servers: Sequence[Server],
    protocol: str = "rest",
    serves: Release | None = None,
) -> Target:
    """Servers on this machine as one target, of which each model's group gets its requests.

    Args:
        repository: whose settings say which models get requests in a group.
        env: the environment.
        servers: first the one that answers what no group claims.
        protocol: ``rest`` or ``grpc``.
        serves: the release that they were started from, if it is one.
    """
    groups = []
    for server in servers:
        serving = ServingFile.read(repository.group(env, server.group) / "serving.yaml")
        models = frozenset(serving.models if len(servers) == 1 else serving.routed)
        url = f"http://{server.grpc_address}" if protocol == "grpc" else server.inference_url
        groups.append(ServingGroup(server.group, models, url))
    return Target(
        str(groups[0].url),
        launcher_urls=tuple(server.launcher_url for server in servers),
        embedded=True,
        groups=tuple(groups),
        serves=serves,
    )


def _is_embedded(args: argparse.Namespace) -> bool:
    return not args.target and (args.embedded or args.env == "local")


@contextlib.contextmanager
def _target(args: argparse.Namespace, repository: Repository, protocol: str) -> Iterator[Target]:
    if args.target:
        yield Target(args.target)
    elif _is_embedded(args):
        # Rendering takes the pinned programs, which `make loadtest ENV=local` does without.
        serves = _committed_release(repository, args.env) if args.embedded else None
        with embedded_server.running_groups(repository, args.env, args.group) as servers:
            yield embedded_target(repository, args.env, servers, protocol, serves)
    else:
        yield gateway.find(
            protocol,
            lambda commit: _digest(repository, args.env, commit),
            from_here=not args.remote,
        )


def _committed_release(repository: Repository, env: str) -> Release | None:
    """Return the release that the working tree is, or None if it has uncommitted changes."""
    git = Git(repository.root)
    commit = git.resolve("HEAD")
    if commit is None or git.uncommitted_changes(*tree.READ):
        return None
    return Release(commit=commit, digest=_digest(repository, env, commit), helm="", pods="")


def _digest(repository: Repository, env: str, commit: str) -> str | None:
    try:
        return digest.release_digest(Renderer(repository).at(env, commit))
    except HarnessError as error:
        console.note(f"no release digest, so the report is not evidence: {error}")
        return None


def _import(args: argparse.Namespace) -> int:
    first, out = args.files[0], args.out
    out = out or (first.with_suffix(".loadtest.yaml") if first != _STDIN else Path("loadtest.yaml"))
    script = scripts.Script()
    for path in args.files:
        content = _stdin() if path == _STDIN else _script(path)
        script.add(scripts.read(path, content))
    if not script.calls:
        reasons = "; ".join(script.left_out) or "it sends none by literals"
        raise InputError(f"no request was understood: {reasons}", at=first)
    text = script.text(", ".join(path.name for path in args.files))
    profile = document.load_text(text, out, Profile)
    left_out = [*script.remarks, *_missing(profile, out.parent)]
    if args.apply:
        if out.exists() and not args.force:
            raise UsageError(f"{out} exists", hint="replace it with --force, or give another --out")
        files.write(out, text)
    if args.json:
        keys = {"profile": profile.content, "target": script.target, "leftOut": left_out}
        print(json.dumps({**keys, "path": str(out), "written": args.apply}, indent=2))
        return 0
    if not args.apply:
        print(text, end="")
    for line in left_out:
        console.note(f"! {line}")
    target = script.target or "URL"
    console.note(
        f"wrote {out}\nnext: harness loadtest run --target {target} --profile {out}"
        if args.apply
        else f"next: the same with --apply writes {out}"
    )
    return 0


def _stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not text: {error.reason}") from error


def _script(path: Path) -> str:
    """Return a script's text; a recording may be far larger than a file of this repository."""
    try:
        return files.text_of(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=path) from error
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 at byte {error.start}", at=path) from error


def _missing(profile: Profile, folder: Path) -> Iterator[str]:
    """The files of requests that are not where the profile would be."""
    for entry in profile.mix:
        try:
            if entry.request:
                entry.request.bodies(folder)
        except InputError as error:
            yield f"{error} (needed before the run)"


def _compare(args: argparse.Namespace) -> int:
    comparison = compare.compare(Report.read(args.a), Report.read(args.b), tolerance=args.tolerance)
    print(comparison.model_dump_json(indent=2) if args.json else compare.text(comparison))
    return EXIT_CODE[comparison.verdict]
