"""A CloudFormation stack: what it is, what a template would change, and the change itself.

Every change is a change set first, so that it can be read before it is made.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.aws import Answer, Aws, AwsError
from harness.bootstrap.installation import Waiting
from harness.core import console, yamlfile
from harness.core.errors import HarnessError
from harness.core.pace import Pace
from harness.core.values import mapping, text

_SERVICE = "cloudformation"
_SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
_ABSENT = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")  # the first has change sets and nothing else
_COMPARED = ("Conditions", "Outputs", "Resources")  # of a template: the rest changes nothing
_SIGNS = {"Add": "+", "Modify": "~", "Remove": "-"}
_INNOCENT = "cancelled"  # what CloudFormation says of all others, once something has failed


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation has it; ``version`` is another after each change."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    version: str

    @property
    def busy(self) -> bool:
        """Whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True)
class Wanted:
    """A stack as it should be.

    Attributes:
        name: of the stack.
        path: of the template.
        parameters: the template's, where they are not its defaults.
        tags: on everything that is made.
    """

    name: str
    path: Path
    parameters: Mapping[str, str]
    tags: Mapping[str, str]

    @cached_property
    def body(self) -> str:
        """The template's text."""
        return yamlfile.read_text(self.path)

    def change_of(self, stack: Stack | None) -> dict[str, str]:
        """The change set that makes this of a stack, by a name that says all of its content.

        So a run finds what a killed one has left, and nothing that no longer fits.
        """
        content = [self.body, dict(self.parameters), stack.version if stack else ""]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return {"StackName": self.name, "ChangeSetName": f"harness-{digest[:12]}"}

    @property
    def all_parameters(self) -> dict[str, str]:
        """The parameters that it gets, defaults included."""
        given = mapping(_parsed(self.body, self.path), "Parameters")
        return {name: text(each, "Default") for name, each in given.items()} | dict(self.parameters)


def find(aws: Aws, name: str) -> Stack | None:
    """The stack; None where nothing was made yet."""
    try:
        (found,) = aws.ask(_SERVICE, "describe_stacks", StackName=name)["Stacks"]
    except AwsError as error:
        if "does not exist" in error.message:
            return None
        raise
    if found["StackStatus"] in _ABSENT:
        return None
    return Stack(
        name,
        found["StackStatus"],
        {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())},
        {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", ())},
        f"{found.get('ChangeSetId')} {found.get('LastUpdatedTime')}",
    )


def fits(aws: Aws, stack: Stack, wanted: Wanted) -> bool:
    """Whether a stack was made of the template and the parameters that are wanted."""
    if stack.parameters != wanted.all_parameters:
        return False
    answer = aws.ask(_SERVICE, "get_template", StackName=stack.name, TemplateStage="Original")
    have = _parsed(answer["TemplateBody"], wanted.path)
    want = _parsed(wanted.body, wanted.path)
    return all(mapping(have, part) == mapping(want, part) for part in _COMPARED)


def preview(aws: Aws, wanted: Wanted, pace: Pace) -> tuple[str, ...]:
    """What a change would do, a line a resource. Nothing of the question is left in AWS."""
    there = find(aws, wanted.name)
    answer = _change_set(aws, wanted, there, pace)
    aws.ask(_SERVICE, "delete_change_set", **wanted.change_of(there))
    if find(aws, wanted.name) is None:  # the change set has made an empty stack around itself
        aws.ask(_SERVICE, "delete_stack", StackName=wanted.name)
    return _changes(answer)


def change(aws: Aws, wanted: Wanted, pace: Pace, update: console.Update) -> None:
    """Make the stack what is wanted, or wait for whoever does.

    Raises:
        AwsError: AWS refused a call.
        HarnessError: CloudFormation gave up; the text says at which resource, and why.
    """
    before = _events(aws, wanted.name)
    executed = False
    waiting = Waiting(pace, f"stack {wanted.name}")
    while True:
        there = find(aws, wanted.name)
        news = [each for each in _events(aws, wanted.name) if each not in before]
        if (there and there.busy) or (executed and not news):
            seen = news[0].line if news else "waiting for it to begin"
            update(seen)
            waiting.look_again(seen, f"see its events in the console of {aws.region}")
        elif there and there.status not in _SETTLED:
            raise _broken(aws, there, news)
        elif there and fits(aws, there, wanted):
            return
        elif executed:
            raise _refused(wanted.name, news)
        else:
            for line in _changes(_change_set(aws, wanted, there, pace)):
                update(line)
            aws.ask(_SERVICE, "execute_change_set", **wanted.change_of(there))
            executed = True


def delete(aws: Aws, name: str, pace: Pace, update: console.Update) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        HarnessError: CloudFormation could not; the text says at which resource, and why.
    """
    before = _events(aws, name)
    aws.ask(_SERVICE, "delete_stack", StackName=name)
    waiting = Waiting(pace, f"stack {name}")
    while there := find(aws, name):
        news = [each for each in _events(aws, name) if each not in before]
        if not there.busy and news:
            raise _broken(aws, there, news)
        seen = news[0].line if news else "waiting for it to begin"
        update(seen)
        waiting.look_again(seen, f"see its events in the console of {aws.region}")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a resource of a stack."""

    id: str
    resource: str
    status: str
    reason: str

    @property
    def line(self) -> str:
        """The event as text."""
        return f"{self.resource} {self.status}{f': {self.reason}' if self.reason else ''}"


def _events(aws: Aws, name: str) -> list[Event]:
    """What happened to a stack, the newest first; nothing where there is none."""
    try:
        found = aws.every(_SERVICE, "describe_stack_events", "StackEvents", StackName=name)
    except AwsError as error:
        if "does not exist" in error.message:
            return []
        raise
    return [
        Event(
            each["EventId"],
            each.get("LogicalResourceId", name),
            each.get("ResourceStatus", ""),
            each.get("ResourceStatusReason", ""),
        )
        for each in found
    ]


def _change_set(aws: Aws, wanted: Wanted, there: Stack | None, pace: Pace) -> Answer:
    """The change set of what is wanted: the one that a killed run has left, or a new one."""
    named = wanted.change_of(there)
    try:
        aws.ask(
            _SERVICE,
            "create_change_set",
            **named,
            ChangeSetType="UPDATE" if there else "CREATE",
            TemplateBody=wanted.body,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in wanted.parameters.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": name, "Value": value} for name, value in wanted.tags.items()],
        )
    except AwsError as error:
        if error.code != "AlreadyExistsException":
            raise
    waiting = Waiting(pace, f"change set of {wanted.name}")
    while True:
        answer = aws.ask(_SERVICE, "describe_change_set", **named)
        if answer["Status"] == "CREATE_COMPLETE":
            return answer
        if answer["Status"] == "FAILED":
            aws.ask(_SERVICE, "delete_change_set", **named)
            raise HarnessError(
                f"CloudFormation refuses the change of {wanted.name}: {answer.get('StatusReason')}",
                at=wanted.path,
            )
        waiting.look_again(answer["Status"], "run the command again")


def _changes(answer: Answer) -> tuple[str, ...]:
    return tuple(_line(each["ResourceChange"]) for each in answer.get("Changes", ()))


def _line(found: Mapping[str, object]) -> str:
    sign = _SIGNS.get(str(found["Action"]), str(found["Action"]))
    scope = found.get("Scope")
    which = f" ({', '.join(map(str, scope))})" if isinstance(scope, list) and scope else ""
    replaced = found.get("Replacement") in ("True", "Conditional")
    fate = " — made anew, and the old one let go" if replaced else ""
    return f"{sign} {found['ResourceType']} {found['LogicalResourceId']}{which}{fate}"


def _broken(aws: Aws, stack: Stack, news: list[Event]) -> HarnessError:
    """A stack that CloudFormation has given up, and what gets it out of that."""
    region = f"--region {aws.region} --stack-name {stack.name}"
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        hint = f"aws cloudformation continue-update-rollback {region}"
    else:  # the first creation failed: such a stack cannot be changed any more
        hint = f"aws cloudformation delete-stack {region}"
    said = list(_failures(news or _events(aws, stack.name)))
    return HarnessError(
        "\n".join([f"stack {stack.name} is in {stack.status}", *said]),
        hint=f"mend what failed, then: {hint}\n  → then run the command again",
    )


def _refused(name: str, news: list[Event]) -> HarnessError:
    return HarnessError(
        "\n".join([f"the change of stack {name} was rolled back", *_failures(news)]),
        hint="mend what failed, then run the command again",
    )


def _failures(events: list[Event]) -> Iterator[str]:
    """What failed, the first first, without what only fell with it."""
    for event in reversed(events):
        if event.status.endswith("_FAILED") and _INNOCENT not in event.reason.lower():
            yield f"  {event.line}"


def _parsed(body: object, path: Path) -> object:
    """A template as plain values; boto3 has parsed it already where it is JSON."""
    return yamlfile.parse(body, path)[0].value if isinstance(body, str) else body
