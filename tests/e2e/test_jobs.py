"""The Jobs on the model store, before a real API server, Job controller and scheduler.

What their programs do is tested in tests/archives; here kwok ends their pods, which print what the
test has put into their log.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.archives import chown_job, model_store
from harness.core.repository import Repository
from harness.core.values import mapping, merge, text
from harness.kubernetes import job, kinds
from harness.kubernetes.transport import ApiError
from harness.local_cluster import admission, local
from harness.local_cluster.local import LocalCluster
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from tests.e2e import kubelet

_VOLUMES = ("PersistentVolume", "PersistentVolumeClaim")


@pytest.fixture(scope="module")
def staging(checkout: Repository) -> Environment:
    return Renderer(checkout).candidate("staging")


@pytest.fixture(scope="module")
def cluster(checkout: Repository, staging: Environment) -> Iterator[LocalCluster]:
    """A cluster that holds what a Job of staging meets, with one node that takes pods."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout.root, capture_output=True, text=True, check=True
    ).stdout.strip()
    with local.running(checkout, "jobs", with_flux=False) as cluster:
        for node in cluster.api.list_all(kinds.NODE):
            name = mapping(node, "metadata")["name"]
            cluster.api.patch(kinds.NODE, str(name), {"spec": {"unschedulable": True}})
        list(admission.refusals(cluster.api, staging))  # applies namespaces, accounts, policies
        for each in staging.of(*_VOLUMES):
            cluster.api.apply(each.value)
        for kind, name in (("ConfigMap", "site"), ("Kustomization", "torchserve"),
                           ("HelmRelease", "torchserve"), ("ConfigMap", "torchserve")):  # fmt: skip
            manifest = staging.find(kind, name)
            assert manifest is not None
            cluster.api.apply(manifest.value)
        applied = {"lastAppliedRevision": f"main@sha1:{commit}"}
        cluster.api.patch(
            kinds.KUSTOMIZATION,
            "torchserve",
            {"status": applied},
            kinds.FLUX_NAMESPACE,
            part="status",
        )
        with kubelet.running(cluster):
            yield cluster


@pytest.fixture
def log(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What every pod has said; KUBECONFIG leads to the cluster."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return cluster.folder / "log"


def ready(cluster: LocalCluster, status: str, group: str = "torchserve") -> None:
    at = {"lastTransitionTime": "2026-11-26T05:00:00Z", "reason": "Told", "message": ""}
    status_now = {
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": status, **at}],
    }
    cluster.api.patch(
        kinds.HELM_RELEASE,
        group,
        {"status": status_now},
        kinds.FLUX_NAMESPACE,
        part="status",
    )


def test_gc_runs_where_the_sync_job_would_and_leaves_nothing(
    cluster: LocalCluster, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(cluster, "True")
    output = json.dumps({"unneeded": [{"name": "old.mar", "size": 5_000_000}], "gone": []})
    log.write_text(f"2026-11-26T05:00:00.000000000Z stdout F {output}\n")  # as a runtime keeps it
    assert cli.main(["models", "gc", "--env", "staging", "--store", "--yes"]) == 0
    assert capsys.readouterr().out == "old.mar\nstore of staging: 1 (5.0 MB) removed\n"
    assert cluster.api.list_all(kinds.JOB, "torchserve") == []
    cluster.api.wait_for(kinds.POD, lambda pods: not pods, seconds=30, namespace="torchserve")


def test_gc_removes_nothing_while_a_release_is_under_way(
    cluster: LocalCluster, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(cluster, "False")
    assert cli.main(["models", "gc", "--env", "staging", "--store", "--yes"]) == 3
    assert "a rollback may need any archive" in capsys.readouterr().err
    assert cluster.api.list_all(kinds.JOB, "torchserve") == []


def test_gc_waits_for_every_group_and_names_one_that_is_gone(
    cluster: LocalCluster, log: Path, staging: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(cluster, "True")
    first = staging.find("HelmRelease", "torchserve")
    assert first is not None
    second = merge(first.value, {"metadata": {"name": "vision"}, "spec": {"releaseName": "vision"}})
    with model_store.present(cluster.api, [second]):
        ready(cluster, "False", "vision")
        assert cli.main(["models", "gc", "--env", "staging", "--store", "--yes"]) == 3
        assert "vision is not Ready" in capsys.readouterr().err
    cluster.api.wait_for(kinds.HELM_RELEASE, lambda objects: len(objects) == 1, seconds=30)
    output = json.dumps({"unneeded": [], "gone": ["vision"]})
    log.write_text(f"2026-11-26T05:00:00.000000000Z stdout F {output}\n")
    assert cli.main(["models", "gc", "--env", "staging", "--store", "--yes"]) == 0
    assert "group vision is gone from the cluster" in capsys.readouterr().out
    cluster.api.wait_for(kinds.POD, lambda pods: not pods, seconds=30, namespace="torchserve")


@pytest.fixture
def filled(staging: Environment) -> Environment:
    """Staging, as if the image's digest were known."""
    return replace(staging, unset=())


def test_ownership_job_runs_as_root_in_a_namespace_of_its_own(
    cluster: LocalCluster, filled: Environment, log: Path
) -> None:
    log.write_text("2026-11-26T05:00:00.000000000Z stdout F {}\n")
    around = chown_job.prerequisites(filled, "fs-0123456789abcdef0")
    with model_store.present(cluster.api, around):
        assert job.run(cluster.api, chown_job.job(filled, apply=True)) == "{}\n"
    remaining = [cluster.api.get(kinds.NAMESPACE, chown_job.NAMESPACE)]
    remaining += cluster.api.list_all(kinds.PERSISTENT_VOLUME)
    named = [each for each in remaining if text(each, "metadata", "name") == chown_job.NAME]
    assert all(mapping(each, "metadata").get("deletionTimestamp") for each in named)


def test_its_pod_is_refused_where_the_servers_live(
    cluster: LocalCluster, filled: Environment
) -> None:
    spec = mapping(chown_job.job(filled, apply=True), "spec", "template", "spec")
    metadata = {"name": "own", "namespace": "torchserve"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    with pytest.raises(ApiError, match='violates PodSecurity "restricted'):
        cluster.api.create(pod, dry_run=True)
