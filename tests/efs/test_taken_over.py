"""A file system that somebody made by hand serves on: it is guarded, never made, never removed."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.aws import Aws
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.efs.provision import Provision
from harness.efs.state import ClusterNetwork
from tests.efs.conftest import QUICK, REGION


@pytest.fixture
def by_hand(aws: Aws, cluster: ClusterNetwork) -> str:
    """As the old guide's script leaves it: not encrypted, a mount target, no policy."""
    token = {"CreationToken": f"by-hand-{id(cluster)}", "PerformanceMode": "generalPurpose"}
    name = str(aws.call("efs", "create_file_system", **token)["FileSystemId"])
    subnet, groups = next(iter(cluster.subnets.values())), [cluster.security_group]
    target = {"FileSystemId": name, "SubnetId": subnet, "SecurityGroups": groups}
    aws.call("efs", "create_mount_target", **target)
    return name


def taking_over(provision: Provision, name: str) -> Provision:
    settings = provision.desired.settings.model_copy(update={"file_system": name})
    return Provision(provision.aws, replace(provision.desired, settings=settings), QUICK)


def test_it_gets_what_it_lacks_and_stays_itself(
    provision: Provision, cluster: ClusterNetwork, by_hand: str
) -> None:
    current = taking_over(provision, by_hand).up(cluster)
    assert current.file_system
    assert (current.file_system.id, current.file_system.encrypted) == (by_hand, False)
    assert current.file_system.policy
    assert {point.user["Uid"] for point in current.access_points.values()} == {1000, 1001}
    assert {target.zone for target in current.mount_targets} == set(cluster.subnets)
    assert not [line for line in provision.applied if line.startswith("+ file system")]


def test_one_that_is_not_there_is_not_made(provision: Provision, cluster: ClusterNetwork) -> None:
    with pytest.raises(InputError, match=f"there is no fs-0123456789abcdef0 in {REGION}"):
        taking_over(provision, "fs-0123456789abcdef0").up(cluster)


def test_destroy_leaves_it(
    staging: Repository, by_hand: str, aws: Aws, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(staging.root)
    with Path("clusters/staging/efs.yaml").open("a") as settings:
        settings.write(f"fileSystem: {by_hand}\n")
    assert cli.main(["efs", "destroy", "--env", "staging", "--yes", "--with-data"]) == 2
    assert "not created here" in capsys.readouterr().err
    assert aws.read("efs", "describe_file_systems", FileSystemId=by_hand)["FileSystems"]
