"""A stack is made once, changed by what a person could read first, and never left half done."""

from collections.abc import Callable

import pytest

from harness.aws import ANY, Aws
from harness.bootstrap import foundation, stack
from harness.bootstrap.installation import Installation
from harness.core.errors import HarnessError
from harness.core.pace import Pace
from tests.bootstrap.fixtures import Fork, mutating
from tests.support.aws_crashing import CrashingAws, Killed
from tests.support.aws_server import Reply, Request, Shim

NAME = "torchserve-staging"
TEMPLATE = str(foundation.TEMPLATE)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def installation(fork: Fork, install: Callable[..., Installation]) -> Installation:
    fork.fill()
    return install()


@pytest.fixture
def applied(installation: Installation, empty: Shim) -> Installation:
    foundation.build(installation, quiet)
    empty.reset()
    return installation


def says(shim: Shim, status: str, *events: tuple[str, str, str], times: int = 1) -> None:
    """Let the next looks at the stack find this."""

    def xml(operation: str, inner: str) -> Callable[[Request, Callable[[], Reply]], Reply]:
        body = f"<{operation}Response><{operation}Result>{inner}</{operation}Result>"
        answer = Reply(200, {"content-type": "text/xml"}, f"{body}</{operation}Response>".encode())
        return lambda *_: answer

    member = f"<member><StackName>{NAME}</StackName><StackStatus>{status}</StackStatus></member>"
    shim.twists["DescribeStacks"] += [xml("DescribeStacks", f"<Stacks>{member}</Stacks>")] * times
    if events:
        rows = "".join(
            f"<member><EventId>{number}</EventId><LogicalResourceId>{name}</LogicalResourceId>"
            f"<ResourceStatus>{state}</ResourceStatus>"
            f"<ResourceStatusReason>{why}</ResourceStatusReason></member>"
            for number, (name, state, why) in enumerate(events)
        )
        answer = xml("DescribeStackEvents", f"<StackEvents>{rows}</StackEvents>")
        none = xml("DescribeStackEvents", "<StackEvents/>")
        shim.twists["DescribeStackEvents"] += [none, *[answer] * 3]


def test_an_empty_account_gets_the_stack_and_its_outputs(installation: Installation) -> None:
    foundation.build(installation, quiet)
    existing = stack.find(installation.aws, NAME)
    assert existing
    assert set(existing.outputs) == {
        "KmsKeyArn", "ModelBucket", "ModelSyncPolicyArn", "Registry", "SopsPolicyArn",
        "WorkflowRoleArn", "ImageRoleArn", "ModelsRoleArn",
    }  # fmt: skip
    assert stack.fits(installation.aws, existing, foundation.stack_spec(installation))
    tags = installation.aws.read("cloudformation", "describe_stacks", StackName=NAME)["Stacks"][0][
        "Tags"
    ]
    assert {"Key": "environment", "Value": "staging"} in tags


def test_what_is_there_already_is_not_touched(applied: Installation, empty: Shim) -> None:
    foundation.build(applied, quiet)
    assert foundation.inspect(applied).is_done
    assert empty.calls
    assert mutating(empty.calls) == []


def test_a_plan_lists_every_resource_and_leaves_nothing(
    fork: Fork, install: Callable[..., Installation], empty: Shim
) -> None:
    fork.fill()
    installation = install(action="plan")
    changes = foundation.inspect(installation).changes
    assert changes[0] == f"+ stack {NAME}"
    assert "+ AWS::S3::Bucket ModelBucket" in changes
    assert stack.find(installation.aws, NAME) is None
    stacks = installation.aws.read("cloudformation", "describe_stacks")["Stacks"]
    assert [each["StackStatus"] for each in stacks if each["StackName"] == NAME] == []


def test_a_plan_says_what_a_changed_template_changes(
    fork: Fork, applied: Installation, install: Callable[..., Installation]
) -> None:
    fork.replace(TEMPLATE, "NoncurrentDays: 90", "NoncurrentDays: 30")
    changes = foundation.inspect(install(action="plan")).changes
    assert changes[:2] == (f"~ stack {NAME}", "~ AWS::S3::Bucket ModelBucket")
    foundation.build(applied, quiet)
    assert foundation.inspect(applied).is_done


def test_a_changed_comment_changes_no_stack(fork: Fork, applied: Installation) -> None:
    fork.replace(TEMPLATE, "# One key for everything", "# A single key for everything")
    assert foundation.inspect(applied).is_done


def test_a_creation_that_failed_says_where_why_and_what_to_type(
    installation: Installation, empty: Shim
) -> None:
    says(empty, "REVIEW_IN_PROGRESS", times=2)  # once for the parameters, once for the stack
    says(
        empty,
        "ROLLBACK_COMPLETE",
        (NAME, "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Images]"),
        ("Key", "CREATE_FAILED", "Resource creation cancelled"),
        ("Images", "CREATE_FAILED", "staging/torchserve already exists"),
        times=9,
    )
    with pytest.raises(HarnessError) as refused:
        foundation.build(installation, quiet)
    assert "is in ROLLBACK_COMPLETE" in refused.value.message
    assert "Images CREATE_FAILED: staging/torchserve already exists" in refused.value.message
    assert "cancelled" not in refused.value.message
    command = f"aws cloudformation delete-stack --region us-west-2 --stack-name {NAME}"
    assert command in refused.value.hint


def test_an_update_that_was_rolled_back_says_what_refused_it(
    fork: Fork, applied: Installation, empty: Shim
) -> None:
    fork.replace(TEMPLATE, "EnableKeyRotation: true", "EnableKeyRotation: false")

    def nothing(request: Request, ask: Callable[[], Reply]) -> Reply:
        del request, ask
        body = b"<ExecuteChangeSetResponse><ExecuteChangeSetResult/></ExecuteChangeSetResponse>"
        return Reply(200, {"content-type": "text/xml"}, body)

    empty.twists["ExecuteChangeSet"].append(nothing)
    says(empty, "UPDATE_COMPLETE", ("Key", "UPDATE_FAILED", "AccessDenied: kms:Disable"), times=0)
    with pytest.raises(HarnessError, match="rolled back\n  Key UPDATE_FAILED: AccessDenied"):
        foundation.build(applied, quiet)


@pytest.mark.parametrize(
    ("status", "word"),
    [("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"), ("DELETE_FAILED", "delete-stack")],
)
def test_a_stack_that_is_stuck_says_what_gets_it_out(
    applied: Installation, empty: Shim, status: str, word: str
) -> None:
    says(empty, status, times=9)
    with pytest.raises(HarnessError, match=f"is in {status}") as refused:
        foundation.build(applied, quiet)
    assert f"aws cloudformation {word} --region us-west-2" in refused.value.hint


def test_it_waits_for_whoever_is_changing_it(applied: Installation, empty: Shim) -> None:
    says(empty, "UPDATE_IN_PROGRESS", times=4)
    updates: list[str] = []
    foundation.build(applied, updates.append)
    assert updates
    assert mutating(empty.calls) == []


def test_patience_ends(applied: Installation, empty: Shim) -> None:
    applied.pace = Pace(look=0.01, patience=0.1)
    says(empty, "UPDATE_IN_PROGRESS", times=500)
    with pytest.raises(HarnessError, match=r"nothing moved for 0.1 s") as refused:
        foundation.build(applied, quiet)
    assert "events in the console" in refused.value.hint


def test_a_change_set_that_is_refused_leaves_nothing_and_says_why(
    applied: Installation, empty: Shim
) -> None:
    with pytest.raises(HarnessError, match="didn't contain changes"):
        stack.preview(applied.aws, foundation.stack_spec(applied), applied.pace)
    assert empty.calls.count("DeleteChangeSet") == empty.calls.count("CreateChangeSet")


def test_killed_after_each_single_call_the_next_run_converges(
    fork: Fork, install: Callable[..., Installation], empty: Shim
) -> None:
    fork.fill()
    foundation.build(install(), quiet)
    every, crashing = len(empty.calls), CrashingAws(0)
    assert every > 8
    for index in range(1, every + 1):
        empty.empty()
        installation = install()
        installation.aws = crashing.crash_after(index)
        with pytest.raises(Killed):
            foundation.build(installation, quiet)
        again = install()
        foundation.build(again, quiet)
        assert foundation.inspect(again).is_done, f"killed after call {index}"
        stacks = again.aws.read("cloudformation", "describe_stacks")["Stacks"]
        assert [each["StackName"] for each in stacks] == [NAME], f"killed after call {index}"


def test_another_region_is_another_stack(applied: Installation) -> None:
    assert stack.find(Aws("eu-central-1", ANY), NAME) is None
