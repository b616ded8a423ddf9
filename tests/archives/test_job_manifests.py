"""The Jobs on the model store: as the sync Job where they can be, confined where they cannot."""

import json
from dataclasses import replace

import pytest

from harness.archives import chown_job, gc_job
from harness.core.errors import HarnessError, InputError
from harness.core.repository import Repository
from harness.core.values import Value, dig, items, mapping, text
from harness.policy.facts.pods import selects
from harness.render.rendered import Environment
from harness.render.renderer import Renderer


@pytest.fixture(scope="module")
def staging(checkout: Repository) -> Environment:
    """Staging, as if the image's digest were known."""
    return replace(Renderer(checkout).candidate("staging"), unset=())


@pytest.fixture(scope="module")
def local(checkout: Repository) -> Environment:
    return Renderer(checkout).candidate("local")


def pod(job: Value) -> Value:
    return mapping(job, "spec", "template", "spec")


def sync(environment: Environment) -> Value:
    job = environment.find("Job", "torchserve-model-sync")
    assert job is not None
    return job.value


def test_gc_runs_as_the_sync_job_does(staging: Environment) -> None:
    ours, theirs = pod(gc_job.manifest(staging, remove=True)), pod(sync(staging))
    for key in set(ours) | set(theirs):
        if key not in ("containers", "volumes"):
            assert ours[key] == theirs[key], key
    mine, its = (mapping(each, "containers", 0) for each in (ours, theirs))
    for key in ("image", "imagePullPolicy", "resources", "securityContext", "volumeMounts"):
        assert mine[key] == its[key], key
    assert mine["args"] == [
        "--store=/data/model_store",
        "--keep=/etc/torchserve/keep.json",
        "--groups=/etc/torchserve/groups.json",
        "--remove",
    ]
    assert "env" not in mine


def test_gc_only_names_unless_told(staging: Environment) -> None:
    container = mapping(pod(gc_job.manifest(staging, remove=False)), "containers", 0)
    assert "--remove" not in items(container, "args")


def test_gc_has_an_end_and_no_hook(staging: Environment) -> None:
    job = gc_job.manifest(staging, remove=True)
    assert dig(job, "spec", "activeDeadlineSeconds")
    assert dig(job, "spec", "ttlSecondsAfterFinished")
    assert "annotations" not in mapping(job, "metadata")


def test_no_service_and_no_other_policy_selects_its_pod(staging: Environment) -> None:
    job = gc_job.manifest(staging, remove=True)
    labels = mapping(job, "spec", "template", "metadata", "labels")
    for service in staging.of("Service"):
        assert not selects({"matchLabels": service.dig("spec", "selector")}, labels), service
    selecting = [
        policy.name
        for policy in staging.of("NetworkPolicy")
        if policy.namespace == "torchserve" and selects(policy.dig("spec", "podSelector"), labels)
    ]
    assert selecting == ["deny-all"]


def test_its_list_lies_beside_it(staging: Environment) -> None:
    job = gc_job.manifest(staging, remove=True)
    listed = gc_job.lists(job, {"b.mar", "a.mar"}, {"vision", "torchserve"})
    assert json.loads(text(listed, "data", "keep.json")) == ["a.mar", "b.mar"]
    assert json.loads(text(listed, "data", "groups.json")) == ["torchserve", "vision"]
    mounted = [text(each, "configMap", "name") for each in items(pod(job), "volumes")]
    assert mapping(listed, "metadata")["name"] in mounted


def test_without_a_sync_job_there_is_nothing_to_collect(local: Environment) -> None:
    with pytest.raises(HarnessError, match="local has no sync Job"):
        gc_job.manifest(local, remove=False)
    with pytest.raises(HarnessError, match="local has no sync Job"):
        chown_job.job(local, apply=False)


def test_who_owns_is_root_with_three_capabilities_and_nothing_else(staging: Environment) -> None:
    spec = pod(chown_job.job(staging, apply=True))
    [container] = items(spec, "containers")
    assert mapping(container, "securityContext") == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert items(container, "args") == ["--data=/efs/data", "--apply"]
    assert text(container, "image") == text(pod(sync(staging)), "containers", 0, "image")


def test_it_stands_in_a_namespace_that_allows_no_more(staging: Environment) -> None:
    around = {
        text(each, "kind"): each
        for each in chown_job.prerequisites(staging, "fs-0123456789abcdef0")
    }
    labels = mapping(around["Namespace"], "metadata", "labels")
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    policy = mapping(around["NetworkPolicy"], "spec")
    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    volume = mapping(around["PersistentVolume"], "spec")
    assert dig(volume, "csi", "volumeHandle") == "fs-0123456789abcdef0"
    assert volume["persistentVolumeReclaimPolicy"] == "Retain"


def test_without_an_image_nobody_runs(checkout: Repository) -> None:
    with pytest.raises(InputError, match="digest is UNSET") as caught:
        chown_job.job(Renderer(checkout).candidate("staging"), apply=True)
    assert "helmrelease.yaml" in str(caught.value)
