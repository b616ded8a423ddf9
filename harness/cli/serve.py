"""``harness serve``: the real TorchServe on this machine, until Ctrl-C."""

import argparse
import json
import shlex

from harness import embedded_server
from harness.core import console, repository
from harness.core.repository import Repository
from harness.embedded_server import Server
from harness.models import samples
from harness.models.lock import load_lock


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness serve``."""
    parser.add_argument("--env", default="local", help="whose settings (default: local)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    checkout = repository.find()
    with embedded_server.running(checkout, args.env) as served:
        calls = _calls(checkout, served)
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
            console.note("stopping: what is in flight is answered first; Ctrl-C again to hurry")
    return 0


def _calls(checkout: Repository, served: Server) -> list[str]:
    """For each model a curl line that works."""
    lock = load_lock(checkout.built_models / "lock.yaml")
    calls = []
    for model, prepared in samples.load_samples(checkout, lock).items():
        for sample in prepared[:1] if model in served.models else ():
            body = samples.folder(checkout, model, sample.version) / sample.name
            header = f"Content-Type: {sample.content_type}"
            url = f"{served.inference_url}/predictions/{model}"
            calls.append(shlex.join(["curl", "-H", header, "--data-binary", f"@{body}", url]))
    return calls
