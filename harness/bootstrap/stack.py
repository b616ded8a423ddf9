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
from harness.bootstrap.installation import Installation, Waiting
from harness.core import console, yamlfile
from harness.core.errors import HarnessError
from harness.core.pace import Pace
from harness.core.values import mapping, text

_SERVICE = "cloudformation"
_SETTLED = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
_ABSENT = ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")  # the first has change sets and nothing else
_COMPARED = ("Conditions", "Outputs", "Resources")  # of a template: the rest changes nothing
_SIGNS = {"Add": "+", "Modify": "~", "Remove": "-"}
_INNOCENT = "cancelled"  # CloudFormation's spelling, for every other resource once one has failed


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
        """Return whether something is being done to it."""
        return self.status.endswith("_IN_PROGRESS")


@dataclass(frozen=True)
class StackSpec:
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
        """Return the change set that updates a stack to this, named for a digest of its content.

        So a run finds the change set of a killed one, but none that no longer applies.
        """
        content = [self.body, dict(self.parameters), stack.version if stack else ""]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return {"StackName": self.name, "ChangeSetName": f"harness-{digest[:12]}"}

    @property
    def all_parameters(self) -> dict[str, str]:
        """The parameters that it gets, defaults included."""
        declared = mapping(_parse(self.body, self.path), "Parameters")
        return {name: text(each, "Default") for name, each in declared.items()} | dict(
            self.parameters
        )


def find(aws: Aws, name: str) -> Stack | None:
    """Return the stack, or None if it does not exist."""
    try:
        (description,) = aws.read(_SERVICE, "describe_stacks", StackName=name)["Stacks"]
    except AwsError as error:
        if "does not exist" in error.message:
            return None
        raise
    if description["StackStatus"] in _ABSENT:
        return None
    return Stack(
        name,
        description["StackStatus"],
        {
            each["ParameterKey"]: each["ParameterValue"]
            for each in description.get("Parameters", ())
        },
        {each["OutputKey"]: each["OutputValue"] for each in description.get("Outputs", ())},
        f"{description.get('ChangeSetId')} {description.get('LastUpdatedTime')}",
    )


def fits(aws: Aws, stack: Stack, spec: StackSpec) -> bool:
    """Return whether a stack has the template and the parameters of ``spec``."""
    if stack.parameters != spec.all_parameters:
        return False
    response = aws.read(_SERVICE, "get_template", StackName=stack.name, TemplateStage="Original")
    actual = _parse(response["TemplateBody"], spec.path)
    expected = _parse(spec.body, spec.path)
    return all(mapping(actual, part) == mapping(expected, part) for part in _COMPARED)


def inspect(installation: Installation, spec: StackSpec) -> tuple[Stack | None, tuple[str, ...]]:
    """Return a stack if there is one, and what applying would change of it: nothing if it fits."""
    aws = installation.aws
    existing = find(aws, spec.name)
    if existing and existing.busy:
        return existing, (f"~ stack {spec.name} is {existing.status}: wait for it",)
    if existing and fits(aws, existing, spec):
        return existing, ()
    resources: tuple[str, ...] = ()
    if installation.action == "plan":
        resources = preview(aws, spec, installation.pace)
    return existing, (f"{'~' if existing else '+'} stack {spec.name}", *resources)


def preview(aws: Aws, spec: StackSpec, pace: Pace) -> tuple[str, ...]:
    """Return what a change would do, one line per resource. Nothing is left in AWS."""
    existing = find(aws, spec.name)
    change_set = _change_set(aws, spec, existing, pace)
    aws.call(_SERVICE, "delete_change_set", **spec.change_of(existing))
    if find(aws, spec.name) is None:  # the change set has made an empty stack around itself
        aws.call(_SERVICE, "delete_stack", StackName=spec.name)
    return _changes(change_set)


def change(aws: Aws, spec: StackSpec, pace: Pace, update: console.Update) -> None:
    """Create or update the stack, or wait for an update that is in progress.

    Raises:
        AwsError: AWS refused a call.
        HarnessError: CloudFormation gave up; the text says at which resource, and why.
    """
    before = _events(aws, spec.name)
    executed = False
    waiting = Waiting(pace, f"stack {spec.name}")
    while True:
        existing = find(aws, spec.name)
        news = [each for each in _events(aws, spec.name) if each not in before]
        if (existing and existing.busy) or (executed and not news):
            progress = news[0].line if news else "waiting for it to begin"
            update(progress)
            waiting.look_again(progress, f"see its events in the console of {aws.region}")
        elif existing and existing.status not in _SETTLED:
            raise _failure_error(aws, existing, news)
        elif existing and fits(aws, existing, spec):
            return
        elif executed:
            raise _rollback_error(spec.name, news)
        else:
            for line in _changes(_change_set(aws, spec, existing, pace)):
                update(line)
            aws.call(_SERVICE, "execute_change_set", **spec.change_of(existing))
            executed = True


def delete(aws: Aws, name: str, pace: Pace, update: console.Update) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        HarnessError: CloudFormation could not; the text says at which resource, and why.
    """
    before = _events(aws, name)
    aws.call(_SERVICE, "delete_stack", StackName=name)
    waiting = Waiting(pace, f"stack {name}")
    while existing := find(aws, name):
        news = [each for each in _events(aws, name) if each not in before]
        if not existing.busy and news:
            raise _failure_error(aws, existing, news)
        progress = news[0].line if news else "waiting for it to begin"
        update(progress)
        waiting.look_again(progress, f"see its events in the console of {aws.region}")


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
        records = aws.list_all(_SERVICE, "describe_stack_events", "StackEvents", StackName=name)
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
        for each in records
    ]


def _change_set(aws: Aws, spec: StackSpec, existing: Stack | None, pace: Pace) -> Answer:
    """The change set of what is wanted: the one that a killed run has left, or a new one."""
    names = spec.change_of(existing)
    try:
        aws.call(
            _SERVICE,
            "create_change_set",
            **names,
            ChangeSetType="UPDATE" if existing else "CREATE",
            TemplateBody=spec.body,
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in spec.parameters.items()
            ],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Tags=[{"Key": name, "Value": value} for name, value in spec.tags.items()],
        )
    except AwsError as error:
        if error.code != "AlreadyExistsException":
            raise
    waiting = Waiting(pace, f"change set of {spec.name}")
    while True:
        response = aws.read(_SERVICE, "describe_change_set", **names)
        if response["Status"] == "CREATE_COMPLETE":
            return response
        if response["Status"] == "FAILED":
            aws.call(_SERVICE, "delete_change_set", **names)
            raise HarnessError(
                f"CloudFormation refuses the change of {spec.name}: {response.get('StatusReason')}",
                at=spec.path,
            )
        waiting.look_again(response["Status"], "run the command again")


def _changes(change_set: Answer) -> tuple[str, ...]:
    return tuple(_line(each["ResourceChange"]) for each in change_set.get("Changes", ()))


def _line(change_record: Mapping[str, object]) -> str:
    sign = _SIGNS.get(str(change_record["Action"]), str(change_record["Action"]))
    scope = change_record.get("Scope")
    which = f" ({', '.join(map(str, scope))})" if isinstance(scope, list) and scope else ""
    replaced = change_record.get("Replacement") in ("True", "Conditional")
    fate = " — recreated; the old one is deleted" if replaced else ""
    return (
        f"{sign} {change_record['ResourceType']} {change_record['LogicalResourceId']}{which}{fate}"
    )


def _failure_error(aws: Aws, stack: Stack, news: list[Event]) -> HarnessError:
    """A stack that CloudFormation has given up, and what gets it out of that."""
    region = f"--region {aws.region} --stack-name {stack.name}"
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        hint = f"aws cloudformation continue-update-rollback {region}"
    else:  # the first creation failed: such a stack cannot be changed any more
        hint = f"aws cloudformation delete-stack {region}"
    failures = list(_failures(news or _events(aws, stack.name)))
    return HarnessError(
        "\n".join([f"stack {stack.name} is in {stack.status}", *failures]),
        hint=f"fix what failed, then: {hint}\n  → then run the command again",
    )


def _rollback_error(name: str, news: list[Event]) -> HarnessError:
    return HarnessError(
        "\n".join([f"the change of stack {name} was rolled back", *_failures(news)]),
        hint="fix what failed, then run the command again",
    )


def _failures(events: list[Event]) -> Iterator[str]:
    """What failed, the first first, without what only fell with it."""
    for event in reversed(events):
        if event.status.endswith("_FAILED") and _INNOCENT not in event.reason.lower():
            yield f"  {event.line}"


def _parse(body: object, path: Path) -> object:
    """A template as plain values; boto3 has parsed it already where it is JSON."""
    return yamlfile.parse(body, path)[0].value if isinstance(body, str) else body
