"""A cluster that was started before: what the next start makes of it."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from harness.core.repository import Repository
from harness.local_cluster import local, supervisor
from harness.local_cluster.local import LocalCluster
from harness.local_cluster.ports import Ports
from harness.local_cluster.supervisor import Component, Plan
from tests.support.processes import eventually

_SLOW = (sys.executable, "-c", "import time; time.sleep(1)")
_SECONDS = 60


def test_up_waits_for_a_start_that_was_cut_short_and_goes_on(tmp_path: Path) -> None:
    cluster = LocalCluster(Repository(tmp_path), "cut", "local", Ports.free())
    cluster.folder.mkdir(parents=True)
    record = {"env": cluster.env, "ports": asdict(cluster.ports), "real": 0}
    (cluster.folder / "cluster.json").write_text(json.dumps(record))
    plan = Plan(components=(Component(name="slow", argv=_SLOW, once=True),))
    (cluster.folder / supervisor.PLAN).write_text(plan.model_dump_json())
    argv = [sys.executable, "-m", "harness.local_cluster.supervisor", str(cluster.folder)]
    with subprocess.Popen([*argv, "--until-eof"], stdin=subprocess.PIPE):
        assert not eventually(lambda: supervisor.read_state(cluster.folder), _SECONDS).ready  # type: ignore[union-attr]
        assert local.up(cluster.repository, "cut", "local") == cluster
        assert cluster.state.ready
