"""What the expressions of a Python script refer to: variables, functions, files."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any


class Unknown(Exception):  # noqa: N818 - an expression, not a fault
    """An expression whose value only a run would tell."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that the script opens.

    Attributes:
        path: a pattern where it takes one of many.
        is_lines: what is meant are its lines, one by one.
    """

    path: str
    is_lines: bool = False


@dataclass(slots=True)
class Pick:
    """Which member of literals ``random.choice`` is in this reading, and of how many."""

    index: int = 0
    of: int = 1


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression can refer to.

    Attributes:
        names: variables; those of ``self`` as ``self.name``.
        functions: those of the script; methods as ``self.name``.
        folder: where the script lies.
        pick: the reading of its choices.
        fixed: remarks about what differs in each run and is one value here.
    """

    names: Mapping[str, Any] = field(default_factory=dict)
    functions: Mapping[str, ast.FunctionDef] = field(default_factory=dict)
    folder: Path = Path()
    pick: Pick = field(default_factory=Pick)
    fixed: list[str] = field(default_factory=list)

    def without(self, name: str) -> "Scope":
        """It, in the value of that name."""
        return replace(self, names={key: each for key, each in self.names.items() if key != name})


@dataclass(frozen=True, slots=True)
class Known:
    """A value that was evaluated already."""

    content: object


def function_of(call: ast.Call, scope: Scope) -> ast.FunctionDef | None:
    """The function of the script that is called."""
    match call.func:
        case ast.Name(id=name):
            return scope.functions.get(name)
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return scope.functions.get(f"self.{name}")
    return None


def assignments(body: Sequence[ast.stmt]) -> list[tuple[str, ast.expr]]:
    """The names that statements assign, and the files that they open."""
    bindings: list[tuple[str, ast.expr]] = []
    for statement in body:
        for node in ast.walk(statement):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=assigned):
                    bindings.append((name, assigned))
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as assigned):
                    bindings.append((name, assigned))
                case ast.Assign(
                    targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=assigned
                ):
                    bindings.append((f"self.{name}", assigned))
                case ast.withitem(context_expr=opened, optional_vars=ast.Name(id=name)):
                    bindings.append((name, opened))
    return bindings
