"""``harness cluster``: Kubernetes and Flux on this machine, following the working tree."""

import argparse
import json
import time

from harness import tools
from harness.core import console, repository
from harness.core.errors import HarnessError
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster


def register(parser: argparse.ArgumentParser) -> None:
    """Add what to do, with which environment, under which name."""
    parser.add_argument("action", choices=["up", "down", "status", "tools"])
    parser.add_argument("--env", default="local", help="the folder under clusters/ (local)")
    parser.add_argument("--name", default="local", help="of the cluster (local)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    return {"up": _up, "down": _down, "status": _status, "tools": _tools}[args.action](args)


def _up(args: argparse.Namespace) -> int:
    here, began = repository.find(), time.monotonic()
    cluster = local.up(here, args.name, args.env)
    commit = cluster.take()
    cluster.follow()
    with console.step(f"sync {commit[:12]}"):
        cluster.sync(commit)
    took = round(time.monotonic() - began, 1)
    answer = {"commit": commit, "kubeconfig": str(cluster.kubeconfig), "seconds": took}
    text = f"Ready after {took} s\nexport KUBECONFIG={cluster.kubeconfig}"
    print(json.dumps(answer, indent=2) if args.json else text)
    return 0


def _down(args: argparse.Namespace) -> int:
    there = local.down(repository.find(), args.name)
    print(json.dumps({"was_there": there}) if args.json else "gone" if there else "none was there")
    return 0


def _status(args: argparse.Namespace) -> int:
    cluster = local.find(repository.find(), args.name)
    if cluster is None:
        raise HarnessError(f"no cluster {args.name!r} is here", hint="start one: `make cluster`")
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
        again = f"started again {each.restarts}×" if each.restarts else ""
        lines.append(
            f"  {name:24} {each.phase:9} {each.pid or '':>7} {each.seconds:5.1f} s {again}"
        )
    return "\n".join([*lines, "", f"export KUBECONFIG={cluster.kubeconfig}"])


def _tools(args: argparse.Namespace) -> int:
    here = repository.find()
    paths = {name: str(tools.find(here, name)) for name in (*tools.CLUSTER, *tools.RELEASE)}
    tools.trim(here)
    print(json.dumps(paths, indent=2) if args.json else "\n".join(paths.values()))
    return 0
