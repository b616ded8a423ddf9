"""A Job is run to its end, says what it said, and leaves nothing behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError
from harness.core.values import Value
from harness.kubernetes import api, job
from harness.kubernetes.api import Api
from tests.support.api_server import State, serving

JOB: Value = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "sweep", "namespace": "here"},
    "spec": {"activeDeadlineSeconds": 1},
}
LIST: Value = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "sweep", "namespace": "here"},
}


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
def cluster(state: State, tmp_path: Path) -> Iterator[Api]:
    with serving(state, tmp_path / "kubeconfig"):
        yield api.connect(tmp_path / "kubeconfig")


def ends(state: State, condition: str, log: str) -> Callable[[dict[str, Any]], None]:
    """What becomes of a Job: its pod, with a log, and a condition."""

    def ran(pod_job: dict[str, Any]) -> None:
        pod_job["metadata"]["uid"] = "0f3a"
        if pod_job["kind"] == "Job":
            labels = {"batch.kubernetes.io/job-name": pod_job["metadata"]["name"]}
            metadata = {"name": "sweep-x2x4z", "namespace": "here", "labels": labels}
            state.add({"kind": "Pod", "metadata": metadata, "log": log})
            met = {"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}
            pod_job["status"] = {"conditions": [met]}

    return ran


def test_it_returns_what_its_pod_has_written(cluster: Api, state: State) -> None:
    state.ran = ends(state, "Complete", "two are unneeded\n")
    assert job.run(cluster, JOB, [LIST]) == "two are unneeded\n"
    assert "DELETE /apis/batch/v1/namespaces/here/jobs/sweep" in state.calls
    assert not any(each["kind"] == "Job" for each in state.objects)


def test_what_it_needs_goes_with_it(cluster: Api, state: State) -> None:
    state.ran = ends(state, "Complete", "")
    job.run(cluster, JOB, [LIST])
    [owner] = state.one("ConfigMap", "sweep")["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "batch/v1", "kind": "Job", "name": "sweep", "uid": "0f3a"}


def test_one_that_failed_says_why(cluster: Api, state: State) -> None:
    state.ran = ends(state, "Failed", "✗ the store cannot be written\n")
    event = {"type": "Warning", "reason": "FailedMount", "message": "access denied by server"}
    about = {"involvedObject": {"name": "sweep-x2x4z"}}
    state.add({"kind": "Event", "metadata": {"name": "e", "namespace": "here"}, **event, **about})
    with pytest.raises(HarnessError) as caught:
        job.run(cluster, JOB)
    assert caught.value.message.splitlines() == [
        "Job here/sweep failed: BackoffLimitExceeded",
        "  ✗ the store cannot be written",
        "  FailedMount: access denied by server",
    ]
    assert not any(each["kind"] == "Job" for each in state.objects)


def test_one_that_is_there_already_is_left_alone(cluster: Api, state: State) -> None:
    state.add({"kind": "Job", "metadata": {"name": "sweep", "namespace": "here"}})
    with pytest.raises(HarnessError, match="already exists"):
        job.run(cluster, JOB)
    assert any(each["kind"] == "Job" for each in state.objects)
