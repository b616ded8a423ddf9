"""An environment's figures and health, by port forwarding from the real Prometheus.

Real: TorchServe, Prometheus with the rules that are generated for SLOs, and the API server with its
port forwarding and RBAC. Played: the kubelet, by a kwok whose forwarded port is that Prometheus;
time, since each window lasts seconds instead of hours.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.cli import live as terminal
from harness.core.errors import HarnessError
from harness.core.repository import Repository
from harness.core.values import Value, text
from harness.kubernetes import api, kinds, monitoring
from harness.kubernetes.api import Api
from harness.loadtest import scrape
from harness.loadtest.gateway import KubernetesCluster
from harness.local_cluster import local
from harness.local_cluster.local import LocalCluster
from harness.prometheus import client, live
from harness.promotion import evaluation, live_health
from tests.e2e import kubelet
from tests.e2e.attempt import Attempt
from tests.launcher.conftest import Launcher, Site, pack, starting
from tests.monitoring.test_alerts import ROOT
from tests.monitoring.test_slo_alerts import slo_rule_groups
from tests.promotion.cases import gate_inputs, gates, running
from tests.support import prometheus
from tests.support.processes import eventually
from tests.support.prometheus import Prometheus

ROLE = ROOT / "infra/monitoring/configs/role.yaml"
MODEL = "gated"
SECONDS = {"5m": 10, "30m": 12, "1h": 15, "2h": 18, "6h": 20, "1d": 25, "3d": 30}


def in_seconds(groups: list[Value]) -> list[Value]:
    """The rules of SLOs with windows of seconds, evaluated each second."""
    written = json.dumps(groups).replace('\\"cat\\"', f'\\"{MODEL}\\"')
    for window, seconds in SECONDS.items():
        written = written.replace(f"[{window}]", f"[{seconds}s]")
    written = re.sub(r'"interval": "\w+"', '"interval": "1s"', written)
    return [group for group in json.loads(written) if isinstance(group, dict)]


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    pack(MODEL, "gated_handler.py", tmp_path)
    site = Site(tmp_path / "site", tmp_path / f"{MODEL}.mar")
    site.settings["launcher_latency_bounds"] = "0.4"
    with starting() as start:
        launcher = start(site)
        eventually(launcher.is_ready)
        yield launcher


@contextlib.contextmanager
def watching(checkout: Repository, folder: Path, target: int) -> Iterator[Prometheus]:
    """Prometheus with the rules of SLOs, at the other end of the forwarded port."""
    labels = {"pod": "a", "group": "torchserve"}
    servers = [{"targets": [f"127.0.0.1:{target}"], "labels": labels}]
    configuration: Value = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "torchserve", "static_configs": servers}],
    }
    rules: Value = {"groups": in_seconds(slo_rule_groups())}
    with prometheus.running(checkout, folder, configuration, {"slos.yaml": rules}) as server:
        (folder / "port").write_text(str(server.port))
        eventually(lambda: server.query("launcher_torchserve_up"))
        yield server


@pytest.fixture
def cluster(checkout: Repository, tmp_path: Path) -> Iterator[LocalCluster]:
    relay = (sys.executable, "-c", kubelet.RELAY, str(tmp_path / "port"))
    with (
        local.running(checkout, "live", with_flux=False) as cluster,
        kubelet.running(cluster, forward={client.PORT: relay}),
    ):
        for name in (client.NAMESPACE, "default"):
            metadata = {"name": name}
            cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield cluster


def begin_pod(cluster: LocalCluster, namespace: str, pod: str, **labels: str) -> None:
    """Let a pod run on the node."""
    metadata: Value = {"name": "default", "namespace": namespace}
    cluster.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    app = {f"app.kubernetes.io/{key}": value for key, value in labels.items()}
    cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "namespace": namespace, "labels": app},
            "spec": {
                "nodeName": kubelet.NODE,
                "containers": [{"name": "main", "image": "none"}],
            },
        }
    )
    cluster.api.wait_for(
        kinds.POD,
        lambda pods: any(text(pod, "status", "podIP") for pod in pods),
        seconds=30,
        namespace=namespace,
    )


def connect_as_nobody(cluster: LocalCluster, folder: Path) -> Api:
    """The cluster as a service account without rights sees it."""
    metadata = {"name": "nobody", "namespace": "default"}
    cluster.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    path = "/api/v1/namespaces/default/serviceaccounts/nobody/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = text(cluster.api._transport.ask("POST", path, body), "status", "token")
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    (folder / "nobody.yaml").write_text(yaml.safe_dump(config))
    return api.connect(folder / "nobody.yaml")


def refusal(cluster: Api) -> str:
    """Why there are no figures, with what to do."""
    with pytest.raises(HarnessError) as error:
        live.read(monitoring.prometheus(cluster))
    return str(error.value)


def status_live(cluster: LocalCluster, *options: str) -> subprocess.CompletedProcess[str]:
    """What ``harness status --live`` says of the cluster that KUBECONFIG names."""
    argv = [sys.executable, "-m", "harness", "status", "--live", "--env", "staging", *options]
    env = os.environ | {"KUBECONFIG": str(cluster.kubeconfig)}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def gate(cluster: Api) -> tuple[bool, str]:
    """What the gate ``live health`` makes of what Prometheus says now."""
    health = live_health.observe(monitoring.prometheus(cluster))
    inputs = gate_inputs(gates=gates(liveHealth={}), running=running(health=health))
    [result] = [each for each in evaluation.evaluate_gates(inputs) if each.name == "live health"]
    return result.passed, result.found


def test_figures_budgets_and_alerts_arrive_and_decide(
    checkout: Repository, launcher: Launcher, cluster: LocalCluster, tmp_path: Path
) -> None:
    assert "the cluster has no monitoring" in refusal(cluster.api)
    begin_pod(cluster, client.NAMESPACE, client.POD)  # as the operator calls Prometheus' first
    for document in yaml.safe_load_all(ROLE.read_text()):
        cluster.api.apply(document)
    forwarding = Attempt("create", "pods/portforward", client.NAMESPACE, name=client.POD)
    # The API server learns of a role by a watch of its own.
    eventually(lambda: forwarding.is_allowed(cluster.api))
    assert not replace(forwarding, name="alertmanager-0").is_allowed(cluster.api)
    assert not Attempt("list", "pods", client.NAMESPACE).is_allowed(cluster.api)
    assert "torchserve:smoke may" in refusal(connect_as_nobody(cluster, tmp_path))

    with watching(checkout, tmp_path, launcher.port) as server:

        def is_counted() -> bool:
            assert launcher.predict() == 200
            passed, _ = gate(cluster.api)
            return passed

        eventually(is_counted)  # with requests of each SLO
        figures = live.read(monitoring.prometheus(cluster.api))
        [model] = [each for each in figures.models if each.model == MODEL]
        assert (model.group, model.workers_ready, model.workers) == ("torchserve", 1, 1)
        assert model.requests
        assert model.p50_ms
        assert (model.errors, model.queue) == (0, 0)
        assert set(figures.budgets) == {"cat-errors", "cat-p99"}
        shown = "\n".join(terminal.lines(figures))
        assert re.search(rf"torchserve  {MODEL} +[\d.]+ +0\.00% .* 0 +1/1$", shown, re.MULTILINE)

        # A load test reads the same Prometheus, which knows this server as pod "a".
        begin_pod(cluster, "default", "a", name="torchserve", component="server")
        reading = KubernetesCluster({}.get, kubeconfig=cluster.kubeconfig).metrics()
        assert (reading.source, reading.unread) == ("Prometheus", {})
        metrics = {name for name, _, _ in scrape.parse(reading.texts["a"])}
        assert {"launcher_queue_seconds_sum", "launcher_worker_memory_bytes"} <= metrics

        def burns() -> bool:
            assert launcher.predict(b"bad") == 507
            return "SloBudgetBurnsFast" in server.firing()

        eventually(burns)
        passed, reason = gate(cluster.api)
        assert not passed
        assert "SloBudgetBurnsFast: " in reason
        shown_live = status_live(cluster)
        assert shown_live.returncode == 1, shown_live.stderr
        assert "  page    SloBudgetBurnsFast: " in shown_live.stdout
        answer = json.loads(status_live(cluster, "--json").stdout)
        assert {each["name"] for each in answer["alerts"]} >= {"SloBudgetBurnsFast"}
        assert [each["model"] for each in answer["models"]] == [MODEL]

        def resolves() -> bool:
            assert launcher.predict() == 200
            return "SloBudgetBurnsFast" not in server.firing()

        eventually(resolves)
        assert "SloBudgetBurnsFast" not in gate(cluster.api)[1]

    assert "Prometheus does not answer" in refusal(cluster.api)
    assert status_live(cluster).returncode == 3
    assert gate(cluster.api)[1].startswith("could not evaluate: Prometheus does not answer")
