"""eksctl makes the cluster, and of half a cluster only what is missing."""

import json
from collections.abc import Callable

import pytest

from harness.bootstrap import eks
from harness.bootstrap.installation import Installation
from harness.core.errors import HarnessError
from tests.bootstrap.fixtures import CLUSTER, Fork, Programs, mutating
from tests.support.aws_server import Reply, Request, Shim

Install = Callable[..., Installation]
CREATE = "create cluster -f clusters/staging/eksctl.yaml --install-nvidia-plugin=false"
PARTS = 1 + 8 + 2 + 3 + 2  # cluster, addons, node groups, identities, access entries


def quiet(_: str) -> None:
    pass


def part(path: str, value: object) -> Callable[[Request, Callable[[], Reply]], Reply]:
    """An answer of EKS with another value in it."""

    def twist(_: Request, ask: Callable[[], Reply]) -> Reply:
        reply = ask()
        answer = reply.json
        outer, key = path.split(".")
        answer[outer][key] = value
        return reply.saying(answer)

    return twist


@pytest.fixture
def installation(fork: Fork, install: Install) -> Installation:
    fork.fill(
        WORKFLOW_ROLE_ARN="arn:aws:iam::123456789012:role/w",
        KMS_KEY_ARN="arn:aws:kms:us-west-2:123456789012:key/1",
    )
    return install()


def test_an_empty_account_gets_the_whole_cluster_in_one_go(
    installation: Installation, on_path: Programs
) -> None:
    changes = eks.inspect(installation).changes
    assert changes[0] == f"+ EKS cluster {CLUSTER}, Kubernetes 1.36"
    assert "+ node group gpu: 2 × g5.xlarge" in changes
    assert len(changes) == PARTS
    eks.build(installation, quiet)
    assert on_path.words("eksctl") == [CREATE]
    assert eks.inspect(installation).is_done


def test_a_cluster_that_is_whole_is_left_alone(
    installation: Installation, on_path: Programs, empty: Shim
) -> None:
    eks.build(installation, quiet)
    empty.reset()
    eks.build(installation, quiet)
    assert on_path.words("eksctl") == [CREATE]
    assert mutating(empty.calls) == []


@pytest.mark.parametrize("after", [1, 4, 9, 10, 12, 14])
def test_what_a_killed_eksctl_left_is_completed_with_what_is_missing(
    installation: Installation, install: Install, on_path: Programs, after: int
) -> None:
    on_path.say("eksctl.dies", str(after))
    with pytest.raises(HarnessError, match="exit code -9"):
        eks.build(installation, quiet)
    missing = eks.inspect(install()).changes
    assert len(missing) == PARTS - after
    eks.build(install(), quiet)
    assert eks.inspect(install()).is_done
    assert on_path.words("eksctl").count(CREATE) == 1
    for call in on_path.calls("eksctl"):
        if "-f" in call["words"] and call["stdin"]:
            described = json.loads(call["stdin"])
            assert described["metadata"]["name"] == CLUSTER
            assert described["vpc"], "the rest of the description is there too"
        if "nodegroup" in call["words"]:
            assert "--install-nvidia-plugin=false" in call["words"]


def test_only_what_is_missing_is_described_to_eksctl(
    installation: Installation, on_path: Programs
) -> None:
    on_path.say("eksctl.dies", str(1 + 8 + 1))  # the second node group is missing
    with pytest.raises(HarnessError):
        eks.build(installation, quiet)
    eks.build(installation, quiet)
    [call] = [each for each in on_path.calls("eksctl") if "nodegroup" in each["words"]]
    groups = json.loads(call["stdin"])["managedNodeGroups"]
    assert [each["name"] for each in groups] == ["gpu"]
    assert groups[0]["taints"], "as eksctl.yaml describes it"


def test_a_failure_shows_eksctls_own_words_and_where_the_reason_is(
    installation: Installation, on_path: Programs
) -> None:
    on_path.say("eksctl.fails", "")
    with pytest.raises(HarnessError, match="VcpuLimitExceeded") as refused:
        eks.build(installation, quiet)
    assert f"eksctl utils describe-stacks --cluster {CLUSTER} --region" in refused.value.hint
    assert "harness bootstrap apply --env staging" in refused.value.hint


def test_an_addon_that_could_not_be_made_does_not_count_as_there(
    installation: Installation, empty: Shim
) -> None:
    eks.build(installation, quiet)
    empty.twists["DescribeAddon"] += [part("addon.status", "CREATE_FAILED")] * 2
    assert not eks.inspect(installation).is_done
    empty.reset()
    empty.twists["DescribeAddon"] += [part("addon.status", "CREATE_FAILED")]
    with pytest.raises(HarnessError, match=r"addon [a-z-]+ is CREATE_FAILED") as refused:
        eks.build(installation, quiet)
    command = f"eksctl delete addon --cluster {CLUSTER} --region us-west-2 --name"
    assert command in refused.value.hint


def test_an_addon_that_could_not_be_updated_runs_on(
    installation: Installation, empty: Shim
) -> None:
    eks.build(installation, quiet)
    empty.twists["DescribeAddon"] += [part("addon.status", "UPDATE_FAILED")]
    assert eks.inspect(installation).is_done


def test_the_versions_that_eks_chose_are_shown(installation: Installation) -> None:
    eks.build(installation, quiet)
    _, versions = eks.inspect(installation).lines
    assert "vpc-cni v1.2.3-eksbuild.1" in versions
    assert "nodes gpu " in versions


def test_it_waits_for_what_is_still_being_made(
    installation: Installation, on_path: Programs, empty: Shim
) -> None:
    eks.build(installation, quiet)
    empty.twists["DescribeCluster"] += [part("cluster.status", "CREATING")] * 3
    empty.twists["DescribeNodegroup"] += [part("nodegroup.status", "CREATING")] * 3
    updates: list[str] = []
    eks.build(installation, updates.append)
    assert any("the control plane is CREATING" in line for line in updates)
    assert on_path.words("eksctl") == [CREATE]


def test_a_node_group_that_failed_is_named_with_the_command_that_removes_it(
    installation: Installation, empty: Shim
) -> None:
    eks.build(installation, quiet)
    empty.twists["DescribeNodegroup"] += [part("nodegroup.status", "CREATE_FAILED")] * 4
    assert "~ gpu is CREATE_FAILED" in eks.inspect(installation).changes
    with pytest.raises(HarnessError, match="gpu is CREATE_FAILED") as refused:
        eks.build(installation, quiet)
    assert f"eksctl delete nodegroup --cluster {CLUSTER}" in refused.value.hint
    assert "--name gpu --wait" in refused.value.hint


def test_a_network_without_a_cluster_is_removed_first(
    installation: Installation, on_path: Programs
) -> None:
    """eksctl's stack was rolled back: eksctl cannot make another of its name."""
    stack = f"eksctl-{CLUSTER}-cluster"
    body = '{"Resources": {"A": {"Type": "AWS::SNS::Topic"}}}'
    installation.aws.call("cloudformation", "create_stack", StackName=stack, TemplateBody=body)
    with pytest.raises(HarnessError, match="there is no cluster") as refused:
        eks.build(installation, quiet)
    assert "eksctl delete cluster -f clusters/staging/eksctl.yaml --wait" in refused.value.hint
    assert on_path.words("eksctl") == []
