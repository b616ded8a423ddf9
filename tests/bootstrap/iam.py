"""IAM's judgement of a policy, as far as this repository's policies need it.

Neither moto nor any kept library evaluates conditions: what counts here is that a key which the
request does not carry matches nothing but `Null`, the negated operators and `…IfExists`.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """A request to AWS: ``context`` has the condition keys that it carries, and no other."""

    action: str
    context: Mapping[str, str] = field(default_factory=dict)
    resource: str = "*"


def plain(value: Any) -> Any:
    """Intrinsic functions as text: ``{"Fn::Sub": "${X.Arn}/*"}`` → ``X.Arn/*``."""
    if isinstance(value, dict) and len(value) == 1:
        [(name, inner)] = value.items()
        if name == "Fn::GetAtt":
            return ".".join(inner)
        if name == "Fn::Sub":
            return re.sub(r"\$\{([^}]+)\}", r"\1", inner)
        if name == "Ref":
            return inner
        if name == "Fn::If":
            return plain(inner[1])
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def as_list(value: Any) -> list[Any]:
    """One value, or a list of them, as a list."""
    return value if isinstance(value, list) else [value]


def allows(statements: Iterable[Statement], call: Call) -> bool:
    """Whether the statements of a policy let a call through: one allows it, and none denies."""
    effects = {each["Effect"] for each in statements if _concerns(each, call)}
    return effects == {"Allow"}


def _concerns(statement: Statement, call: Call) -> bool:
    return (
        _like_any(call.action, statement["Action"])
        and _like_any(call.resource, statement.get("Resource", "*"))
        and all(
            _OPERATORS[operator](call.context.get(key), [str(each) for each in as_list(expected)])
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _like_any(value: str, patterns: Any) -> bool:
    return any(fnmatch.fnmatchcase(value, pattern) for pattern in as_list(patterns))


def _like(value: str | None, patterns: list[str]) -> bool:
    return value is not None and _like_any(value, patterns)


_OPERATORS: Mapping[str, Callable[[str | None, list[str]], bool]] = {
    "ArnEquals": _like,
    "Bool": lambda value, expected: value is not None and value in expected,
    "Null": lambda value, expected: (value is None) == (expected == ["true"]),
    "StringEquals": lambda value, expected: value is not None and value in expected,
    "StringLike": _like,
    "StringNotEquals": lambda value, expected: value not in expected,
}
