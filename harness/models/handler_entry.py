"""The entry point of an archive: where TorchServe 0.12 looks for it, and what of it would fail.

Source: ``TsModelLoader`` of ``ts/model_loader.py``. Nothing is run: names and signatures are read.
"""

import ast
import symtable
from collections.abc import Iterable, Iterator, Mapping

from harness.models import handler

_METHODS: Mapping[str, tuple[str, ...]] = {
    "__init__": (),
    "initialize": ("context",),
    "handle": ("data", "context"),
}
"""What TorchServe calls of a class, and with what."""
_ROOTS = {"object", "ABC", "abc.ABC"}  # bases that bring none of it


def file(text: str, files: Iterable[str]) -> str | None:
    """The file of the handler in an archive.

    Args:
        text: the manifest's handler.
        files: the paths in the archive.

    Returns:
        Its path, ``""`` if none is needed, or None if TorchServe finds none.
    """
    module = text.partition(":")[0].removesuffix(".py").rpartition("/")[2]
    path = module.replace(".", "/")
    for candidate in (f"{path}.py", f"{path}/__init__.py"):
        if candidate in files:
            return candidate
    is_compiled = any(
        name.startswith(f"{path}.") and name.endswith((".so", ".pyc")) for name in files
    )
    # A dotted name may be a module of a package that the image has.
    return "" if module in handler.OWN or is_compiled or "." in module else None


def faults(text: str, code: str) -> Iterator[tuple[int | None, str]]:
    """What of the entry point would fail, each with its line.

    Args:
        text: the manifest's handler.
        code: of its file.
    """
    try:
        module, tree = symtable.symtable(code, "handler", "exec"), ast.parse(code)
    except (SyntaxError, ValueError):
        return  # ``unreadable`` names it
    function = text.partition(":")[2] or "handle"
    names = {each.get_name() for each in module.get_symbols() if each.is_assigned()}
    names |= {each.get_name() for each in module.get_symbols() if each.is_imported()}
    if any(
        isinstance(each, ast.ImportFrom) and each.names[0].name == "*" for each in ast.walk(tree)
    ):
        return
    if function in names:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == function:
                yield from _wrong_call(node, ("data", "context"))
        return
    classes = [each.get_name() for each in module.get_children() if each.get_type() == "class"]
    if len(classes) == 1:
        [node] = [
            each
            for each in ast.walk(tree)
            if isinstance(each, ast.ClassDef) and each.name == classes[0]
        ][:1]
        yield from _class_faults(node)
    elif classes:
        listed = ", ".join(classes)
        names_them = f"{len(classes)} classes ({listed}) and no function {function}"
        yield None, f"{names_them}: TorchServe wants one class, so move the others to a file"
    else:
        yield None, f"no class and no function {function}, where TorchServe wants one of them"


def _class_faults(node: ast.ClassDef) -> Iterator[tuple[int | None, str]]:
    methods = {
        each.name: each
        for each in node.body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    bound = {
        name.id
        for each in node.body
        if isinstance(each, ast.Assign)
        for name in each.targets
        if isinstance(name, ast.Name)
    }
    inherits = node.keywords or {ast.unparse(base) for base in node.bases} - _ROOTS
    for name, arguments in _METHODS.items():
        if name in methods:
            yield from _wrong_call(methods[name], arguments, is_method=True)
        elif not (inherits or node.decorator_list or name in bound or name == "__init__"):
            yield node.lineno, f"class {node.name} has no method {name}, which TorchServe calls"


def _wrong_call(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    arguments: tuple[str, ...],
    *,
    is_method: bool = False,
) -> Iterator[tuple[int | None, str]]:
    """Whether TorchServe's call of a function fails."""
    if node.decorator_list or node.args.vararg:
        return
    taken = len(node.args.posonlyargs) + len(node.args.args) - is_method
    needed = taken - len(node.args.defaults)
    if needed <= len(arguments) <= taken:
        return
    takes = f"{max(0, taken)} argument{'' if taken == 1 else 's'}" if taken > 0 else "no argument"
    gives = ", ".join(arguments) or "none"
    yield node.lineno, f"{node.name} takes {takes}, and TorchServe gives it {gives}"
