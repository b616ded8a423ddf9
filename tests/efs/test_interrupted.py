"""Killed at any call, run twice at once, misled by AWS: it converges to one of everything."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from harness.aws import ANY, Aws
from harness.core import console
from harness.core.repository import Repository
from harness.efs.provision import Provision
from harness.efs.settings import Desired
from harness.efs.state import ClusterNetwork, State, cluster, collect
from tests.efs.conftest import QUICK, REGION, count
from tests.support.aws_crashing import CrashingAws, Killed
from tests.support.aws_server import Shim

WHOLE = (1, 1, 1, 2, 2)


def apply(aws: Aws, desired: Desired) -> State:
    return Provision(aws, desired, QUICK).up(cluster(aws, desired))


def test_killed_after_each_single_call_the_next_run_converges(
    aws: Aws, want: Callable[[], Desired], shim: Shim
) -> None:
    apply(aws, want())
    every = len(shim.calls)
    crashing = CrashingAws(0)
    for index in range(1, every + 1):
        desired = want()
        with pytest.raises(Killed):
            apply(crashing.crash_after(index), desired)
        assert count(apply(aws, desired)) == WHOLE, f"killed after call {index}"
    console.note(f"killed after each of {every} calls")
    assert every > 20


def test_killed_after_each_single_call_destroy_is_finished_by_the_next_run(
    aws: Aws, want: Callable[[], Desired], shim: Shim
) -> None:
    desired = want()
    apply(aws, desired)
    crashing, index = CrashingAws(0), 0
    finished = False
    while not finished:
        index += 1
        try:
            Provision(crashing.crash_after(index), desired, QUICK).down()
            finished = True
        except Killed:
            continue
    assert collect(aws, desired) == State()
    assert index > 5


def test_the_process_killed_when_the_file_system_was_just_made(
    aws: Aws, staging: Repository, shim: Shim
) -> None:
    argv = [sys.executable, "-m", "harness", "efs", "apply", "--env", "staging"]
    with subprocess.Popen(argv, cwd=staging.root, stderr=subprocess.DEVNULL) as process:
        shim.lose("CreateFileSystem", process.kill)
    assert process.returncode == -9
    result = subprocess.run(argv, cwd=staging.root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "commit clusters/staging/site.yaml" in result.stderr
    assert shim.calls.count("CreateFileSystem") == 1


def test_two_at_once_make_one_of_everything(
    aws: Aws, want: Callable[[], Desired], shim: Shim
) -> None:
    desired = want()
    shim.slow = 1
    states: list[State] = []
    both = [
        threading.Thread(target=lambda: states.append(apply(Aws(REGION, ANY), desired)))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [count(each) for each in states] == [WHOLE, WHOLE]
    assert count(collect(aws, desired, cluster(aws, desired).vpc)) == WHOLE


@pytest.mark.parametrize(
    "operation",
    [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "CreateFileSystem",
        "CreateAccessPoint",
        "PutFileSystemPolicy",
        "CreateMountTarget",
    ],
)
def test_an_answer_that_is_lost_does_not_make_a_second_one(
    provision: Provision, cluster: ClusterNetwork, shim: Shim, operation: str
) -> None:
    shim.lose(operation)
    assert count(provision.up(cluster)) == WHOLE


@pytest.mark.parametrize(
    "operation",
    [
        "DescribeSecurityGroups",
        "DescribeFileSystems",
        "DescribeAccessPoints",
        "DescribeMountTargets",
    ],
)
def test_a_describe_that_lags_does_not_make_a_second_one(
    provision: Provision, cluster: ClusterNetwork, shim: Shim, operation: str
) -> None:
    """Another run made it all; this one is told for a while that there is nothing."""
    right = Provision(provision.aws, provision.desired, QUICK).up(cluster)
    shim.hide(operation, times=2)
    assert provision.up(cluster) == right


def test_already_there_without_an_id_is_as_good(
    provision: Provision, cluster: ClusterNetwork, shim: Shim
) -> None:
    """AWS names the id in this error, by its documentation; nothing relies on it."""
    right = Provision(provision.aws, provision.desired, QUICK).up(cluster)
    shim.hide("DescribeFileSystems", times=1)
    shim.refuse("CreateFileSystem", "FileSystemAlreadyExists", status=409)
    assert provision.up(cluster) == right
