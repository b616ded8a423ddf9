"""``harness serve``: the real TorchServe on this machine, until Ctrl-C."""

import argparse
import json
import shlex

from harness import embedded_server
from harness.cli import options
from harness.core import console
from harness.core.repository import Repository
from harness.core.repository import find as find_repository
from harness.embedded_server import Server
from harness.models import samples
from harness.models.lock import load_lock


def register(parser: argparse.ArgumentParser) -> None:
    """Add the environment whose settings TorchServe takes."""
    options.add_env(parser)
    options.add_group(parser, "group to serve")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    repository = find_repository()
    with embedded_server.running(repository, args.env, group=args.group) as served:
        calls = _calls(repository, served)
        if args.json:
            urls = {"inference": served.inference_url, "grpc": served.grpc_address}
            rest = {"launcher": served.launcher_url, "pid": served.pid, "calls": calls}
            print(json.dumps({**urls, **rest}, indent=2), flush=True)
        else:
            print(f"inference  {served.inference_url}/predictions/…   gRPC {served.grpc_address}")
            print(f"launcher   {served.launcher_url}/ready, /live, /startup, /metrics")
            print(f"logs       {served.folder}\n\n" + "\n".join(calls), flush=True)
        try:
            served.wait()
        except KeyboardInterrupt:
            console.note("stopping after the requests in flight; Ctrl-C again to stop now")
    return 0


def _calls(repository: Repository, served: Server) -> list[str]:
    """Return a curl line for each model: its first sample, or REQUEST for one that has none."""
    lock = load_lock(repository.built_models / "lock.yaml")
    prepared = samples.load_samples(repository, lock)
    calls = []
    for model in served.models:
        url = f"{served.inference_url}/predictions/{model}"
        if not prepared.get(model):
            calls.append(shlex.join(["curl", "-T", "REQUEST", url]))
            continue
        sample = prepared[model][0]
        body = samples.folder(repository, model, sample.version) / sample.name
        header = f"Content-Type: {sample.content_type}"
        calls.append(shlex.join(["curl", "-H", header, "--data-binary", f"@{body}", url]))
    return calls
