"""``harness cluster``: Kubernetes and Flux on this machine, following the working tree."""

import argparse
import json
import time

from harness.cli import options
from harness.core import console
from harness.core.errors import HarnessError, UsageError
from harness.core.repository import find as find_repository
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.real import release, start


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    if action == "up":
        options.add_env(parser)
        parser.add_argument(
            "--real",
            action="store_true",
            help="with nodes whose pods are containers, and the gateway before them (needs root)",
        )
    parser.add_argument(
        "--name", default="local", help="name of the local cluster (default: %(default)s)"
    )
    parser.set_defaults(run={"up": _up, "down": _down, "processes": _processes}[action])


def _up(args: argparse.Namespace) -> int:
    if args.real:
        return _up_real(args)
    started = time.monotonic()
    cluster = local.up(find_repository(), args.name, args.env)
    commit = cluster.take()
    cluster.follow()
    with console.step(f"reconcile {commit[:12]}"):
        cluster.sync(commit)
    seconds = round(time.monotonic() - started, 1)
    answer = {"commit": commit, "kubeconfig": str(cluster.kubeconfig), "seconds": seconds}
    text = f"Ready after {seconds} s\nexport KUBECONFIG={cluster.kubeconfig}"
    print(json.dumps(answer, indent=2) if args.json else text)
    return 0


def _up_real(args: argparse.Namespace) -> int:
    if args.env != "local":
        raise UsageError(f"--env {args.env}: real nodes run the environment local")
    started = time.monotonic()
    repository = find_repository()
    ground, images = start.prepare(repository)
    cluster = local.up(repository, args.name, args.env, ground)
    entrance = start.serve(repository, cluster, images.digest)
    seconds = round(time.monotonic() - started, 1)
    port = cluster.ports.gateway
    answer = {"kubeconfig": str(cluster.kubeconfig), "seconds": seconds, "gateway": port}
    text = (
        f"Ready after {seconds} s\nexport KUBECONFIG={cluster.kubeconfig}\n"
        f"curl --insecure --connect-to ::127.0.0.1:{port} --data-binary hello \\\n"
        f"  --header Content-Type:application/octet-stream "
        f"https://{entrance.host}/predictions/{release.MODEL}"
    )
    print(json.dumps(answer, indent=2) if args.json else text)
    return 0


def _down(args: argparse.Namespace) -> int:
    existed = local.down(find_repository(), args.name)
    text = f"cluster {args.name!r} {'removed' if existed else 'not found'}"
    print(json.dumps({"was_there": existed}) if args.json else text)
    return 0


def _processes(args: argparse.Namespace) -> int:
    cluster = local.find(find_repository(), args.name)
    if cluster is None:
        raise HarnessError(
            f"no cluster {args.name!r} on this machine", hint="start one: `make cluster`"
        )
    state = cluster.state
    if args.json:
        rows = {
            name: {"phase": each.phase, "pid": each.pid, "restarts": each.restarts}
            for name, each in state.components.items()
        }
        print(json.dumps({"supervised": cluster.alive, "components": rows}, indent=2))
    else:
        print(_table(cluster))
    return 0 if cluster.alive and state.ready else 3


def _table(cluster: LocalCluster) -> str:
    supervised = (
        f"supervised by {cluster.state.supervisor.pid}" if cluster.alive else "unsupervised"
    )
    lines = [f"{cluster.name} follows {cluster.env}, {supervised}", ""]
    for name, each in cluster.state.components.items():
        restarts = f"restarted {each.restarts}×" if each.restarts else ""
        lines.append(
            f"  {name:24} {each.phase:9} {each.pid or '':>7} {each.seconds:5.1f} s {restarts}"
        )
    return "\n".join([*lines, "", f"export KUBECONFIG={cluster.kubeconfig}"])
