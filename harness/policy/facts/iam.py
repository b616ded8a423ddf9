"""Statements of IAM, read from CloudFormation: who may do what to what.

Intrinsic functions stand for text that is known when the stack is made: ``{Ref: Key}`` is read as
``${Key}``. Of ``Fn::If`` both sides are read.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, dig, items, mapping, text
from harness.core.yamlfile import Document

Text = tuple[KeyPath, str]
"""A text of a template, and where it stands."""


class Use(Enum):
    """What a policy is attached to."""

    IDENTITY = "identity"  # a role, or what becomes one's
    RESOURCE = "resource"  # a bucket, a key, a repository
    TRUST = "trust"  # who may become a role


@dataclass(frozen=True)
class Statement:
    """One statement that allows something; ``path`` leads to it inside the template."""

    document: Document
    owner: str
    use: Use
    path: KeyPath

    def texts(self, key: str) -> list[Text]:
        """The texts of ``Action``, ``Resource`` and the like, each with its place."""
        return list(texts(dig(self.document.value, *self.path, key), (*self.path, key)))

    @property
    def conditions(self) -> dict[str, list[str]]:
        """Each key that a condition compares, in lower case, with the values that it names."""
        compared: dict[str, list[str]] = {}
        for operator in mapping(self.document.value, *self.path, "Condition").values():
            for key, value in mapping(operator).items():
                named = [each for _, each in texts(value, ())]
                compared.setdefault(str(key).lower(), []).extend(named)
        return compared

    @property
    def name(self) -> str:
        sid = text(self.document.value, *self.path, "Sid")
        return f"{self.owner} ({sid})" if sid else self.owner

    def problem(self, message: str, path: KeyPath = ()) -> Problem:
        """A problem of the statement, at a place of the template."""
        at = self.document.at(path or self.path)
        return Problem(f"{self.name}: {message}", at, f"{self.document.path.stem}/{self.owner}")


def texts(value: object, path: KeyPath) -> Iterator[Text]:
    """The texts that a value of a template stands for; one for each item of a list."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, (*path, index))
    elif isinstance(value, dict):
        for function, argument in value.items():
            yield from _intrinsic(str(function), argument, (*path, str(function)))


def _intrinsic(function: str, argument: object, path: KeyPath) -> Iterator[Text]:
    match function:
        case "Ref":
            yield path, f"${{{argument}}}"
        case "Fn::GetAtt":
            names = argument if isinstance(argument, list) else [argument]
            yield path, f"${{{'.'.join(map(str, names))}}}"
        case "Fn::Sub":
            yield path, str(argument[0] if isinstance(argument, list) and argument else argument)
        case "Fn::Join":
            parts = [each for _, each in texts(dig(argument, 1), ())]
            yield path, text(argument, 0).join(parts)
        case "Fn::If":
            yield from texts(items(argument)[1:], path)
        case _ if not function.startswith("Fn::"):  # a principal: {AWS: …}
            yield from texts(argument, path)
        case _:
            yield path, f"${{{function}}}"


def statements(document: Document) -> Iterator[Statement]:
    """Every statement of a template that allows something."""
    for name, resource in mapping(document.value, "Resources").items():
        is_identity = text(resource, "Type").startswith("AWS::IAM::")
        where: KeyPath = ("Resources", str(name), "Properties")
        for path in _policies(dig(resource, "Properties"), where):
            use = Use.IDENTITY if is_identity else Use.RESOURCE
            use = Use.TRUST if "AssumeRolePolicyDocument" in path else use
            for each in _statement_paths(document, (*path, "Statement")):
                if text(document.value, *each, "Effect") == "Allow":
                    yield Statement(document, str(name), use, each)


def _policies(value: object, path: KeyPath) -> Iterator[KeyPath]:
    """Where policy documents stand in the properties of a resource."""
    pairs: Iterator[tuple[Key, object]] = iter(())
    if isinstance(value, dict):
        if "Statement" in value:
            yield path
            return
        pairs = ((str(key), each) for key, each in value.items())
    elif isinstance(value, list):
        pairs = iter(enumerate(value))
    for key, each in pairs:
        yield from _policies(each, (*path, key))


def _statement_paths(document: Document, path: KeyPath) -> Iterator[KeyPath]:
    """Where each statement stands: one alone, in a list, or on a side of ``Fn::If``."""
    value = dig(document.value, *path)
    if isinstance(value, list):
        for index in range(len(value)):
            yield from _statement_paths(document, (*path, index))
    elif isinstance(value, dict):
        sides = items(value, "Fn::If")
        for index in range(1, len(sides)):
            yield from _statement_paths(document, (*path, "Fn::If", index))
        if not sides:
            yield path


def allows(granted: str, action: str) -> bool:
    """Whether an action as a statement writes it, such as ``s3:Get*``, covers an action."""
    return fnmatchcase(action.lower(), granted.lower())
