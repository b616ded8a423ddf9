"""What the Python files of an archive touch, by their syntax trees: nothing is run.

Guesses by name, as a reader makes them: a call of ``get_request_header`` reads a header, whoever
wrote it. Each has a file and a line of the archive.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_CALLS = {
    "headers": {
        *("get_request_header", "get_all_request_header", "set_response_header"),
        *("set_response_content_type", "set_response_status", "set_all_response_status"),
    },
    "streaming": {"send_intermediate_predict_response"},
    "sequences": {"get_sequence_id"},
    "metrics": {"add_counter", "add_time", "add_size", "add_percent", "add_error", "add_metric"},
    "network": {
        *("load_state_dict_from_url", "download_url_to_file", "hf_hub_download", "urlopen"),
        *("snapshot_download", "urlretrieve", "download_file", "download_fileobj"),
    },
}
_DOTTED = {
    "network": {"torch.hub.load", "nltk.download", "gdown.download", "wget.download"},
    "processes": {"os.system", "os.popen"},
}
_MODULES = {
    "network": {"requests", "httpx", "aiohttp", "urllib3", "socket", "boto3", "paramiko", "redis"},
    "processes": {"subprocess"},
}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_WRITABLE = ("/tmp", "/dev/shm", "/home/model-server/tmp")  # noqa: S108 - of the container
_WRITING = re.compile(r"[wax+]")


@dataclass(frozen=True, slots=True)
class Touch:
    """A line of an archive's code.

    Attributes:
        kind: headers, streaming, sequences, metrics, network, files, processes, gpu or variables.
        what: the call or name, ``requests.get``.
        file: the path in the archive.
        line: from 1.
    """

    kind: str
    what: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Import:
    """A package that a file imports, by the name in the code.

    Attributes:
        module: its first part, ``sklearn``.
        file: the path in the archive.
        line: from 1.
        is_optional: whether the code goes on without it: it is caught, or stands in a function of
            another file than the handler's.
    """

    module: str
    file: str
    line: int
    is_optional: bool = False


def touches(python: Mapping[str, str]) -> list[Touch]:
    """What the files (path → code) touch, in the order of their lines."""
    return sorted(
        {touch for file, tree in _trees(python) for touch in _touches(file, tree)},
        key=lambda each: (each.file, each.line, each.kind),
    )


def imports(python: Mapping[str, str], handler: str) -> list[Import]:
    """The first import of each package that neither Python nor the archive itself brings.

    Args:
        python: path in the archive → code.
        handler: the path of the handler's file.
    """
    home = {PurePosixPath(file).with_suffix("").parts[0] for file in python}
    first: dict[str, Import] = {}
    for file, tree in _trees(python):
        for each in _imports(file, tree, is_optional=False, is_handler=file == handler):
            if each.module in sys.stdlib_module_names or each.module in home:
                continue
            known = first.get(each.module)
            if known is None or (known.is_optional and not each.is_optional):
                first[each.module] = each
    return list(first.values())


def unreadable(python: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """Each file that is not Python of this version: its path, the line, what is wrong."""
    broken = []
    for file, code in python.items():
        try:
            ast.parse(code)
        except (SyntaxError, ValueError) as error:
            broken.append((file, getattr(error, "lineno", None) or 1, str(error)))
    return broken


def _trees(python: Mapping[str, str]) -> Iterator[tuple[str, ast.Module]]:
    for file, code in python.items():
        try:
            yield file, ast.parse(code)
        except (SyntaxError, ValueError):
            continue  # ``unreadable`` names it


def _touches(file: str, tree: ast.Module) -> Iterator[Touch]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func):
                for kind in _kinds_of_call(node, _dotted_name(func)):
                    variable = _first_text(node) if kind == "variables" else None
                    yield Touch(kind, variable or _dotted_name(func), file, node.lineno)
            case ast.Import(names=names):
                for name in names:
                    yield from _touched_module(file, node.lineno, name.name)
            case ast.ImportFrom(module=str(module), level=0):
                yield from _touched_module(file, node.lineno, module)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(name))):
                if _dotted_name(value) == "os.environ":
                    yield Touch("variables", name, file, node.lineno)


def _touched_module(file: str, line: int, module: str) -> Iterator[Touch]:
    for kind, modules in _MODULES.items():
        if module.partition(".")[0] in modules:
            yield Touch(kind, f"import {module}", file, line)


def _kinds_of_call(call: ast.Call, dotted: str) -> Iterator[str]:
    last = dotted.rpartition(".")[2]
    text = _first_text(call)
    yield from (kind for kind, names in _CALLS.items() if last in names)
    yield from (kind for kind, names in _DOTTED.items() if dotted in names)
    if last == "from_pretrained" and text and _HUB_NAME.fullmatch(text):
        yield "network"
    if last == "cuda" or (last in ("device", "to") and str(text).startswith("cuda")):
        yield "gpu"
    if dotted in ("os.getenv", "os.environ.get"):
        yield "variables"
    is_elsewhere = str(text).startswith("/") and not str(text).startswith(_WRITABLE)
    if dotted == "open" and is_elsewhere and _writes(call):
        yield "files"


def _first_text(call: ast.Call) -> str | None:
    match call.args:
        case [ast.Constant(value=str(text)), *_]:
            return text
        case _:
            return None


def _writes(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant) and _WRITING.search(str(mode.value)) for mode in modes
    )


def _dotted_name(node: ast.AST) -> str:
    """``a.b.c``; of what is not a plain name, its last parts."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted_name(value)}.{name}".lstrip(".")
        case _:
            return ""


def _imports(file: str, tree: ast.AST, *, is_optional: bool, is_handler: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        optional = is_optional
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield Import(name.name.partition(".")[0], file, node.lineno, is_optional)
                continue
            case ast.ImportFrom(module=str(module), level=0):
                yield Import(module.partition(".")[0], file, node.lineno, is_optional)
                continue
            case ast.Try(handlers=handlers):
                optional = is_optional or any(_catches_import(each) for each in handlers)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                optional = is_optional or not is_handler
        yield from _imports(file, node, is_optional=optional, is_handler=is_handler)


def _catches_import(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {_dotted_name(each) for each in ast.walk(handler.type)}
    return bool(names & {"ImportError", "ModuleNotFoundError", "Exception"})
