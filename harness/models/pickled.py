"""What PyTorch pickled: the numbers of a network, a training checkpoint, a whole module.

    look(Path("best.ckpt"))     # Pickled(Content.TENSORS, path=("state_dict",))

Nothing that the pickle names is imported or run: each class and function is replaced by a stand-in
that takes whatever it is given.
"""

import enum
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Self

_LARGEST = 64 << 20  # bytes of a pickle; old files hold the numbers, too
_BEFORE = 2  # pickles between the magic number of an old file and what was saved
_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
_DEEP = 3  # mappings in mappings
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
_TRAINING = ("optim", "sched", "scaler")  # keys of what only training needs


class _Ordered(dict[Any, object]):
    """An OrderedDict: unlike a dict it takes attributes, such as a state dict's ``_metadata``."""


_CONTAINERS: Mapping[tuple[str, str], type] = {
    ("collections", "OrderedDict"): _Ordered,
    **{("builtins", each.__name__): each for each in (dict, list, set, frozenset)},
}


class Content(enum.Enum):
    """What a pickle holds."""

    TENSORS = "tensors by name"
    MODULE = "a module of PyTorch"
    OBJECT = "an object of another library"
    UNKNOWN = "something else"


@dataclass(frozen=True, slots=True)
class Pickled:
    """What was found, and where.

    Attributes:
        content: what it is.
        path: the keys that lead to it; empty where it is the whole.
        class_name: of a module or another object, as ``package.Class``.
    """

    content: Content
    path: tuple[str, ...] = ()
    class_name: str = ""


def look(file: Path) -> Pickled:
    """What a file that ``torch.save`` or ``pickle.dump`` wrote holds."""
    try:
        saved = _load(file)
    # A pickle may ask its reader for anything, and a damaged one for more.
    except Exception:  # noqa: BLE001
        return Pickled(Content.UNKNOWN)
    return min(_parts(saved, ()), key=_rank, default=Pickled(Content.UNKNOWN))


def _parts(part: object, path: tuple[str, ...]) -> Iterator[Pickled]:
    if isinstance(part, _StandIn):
        is_module = "_parameters" in vars(part)
        if is_module or not path:
            content = Content.MODULE if is_module else Content.OBJECT
            yield Pickled(content, path, part.class_name)
    elif isinstance(part, Mapping):
        if _is_state(part):
            yield Pickled(Content.TENSORS, path)
        elif len(path) < _DEEP:
            for key, each in part.items():
                if isinstance(key, str) and not any(word in key.lower() for word in _TRAINING):
                    yield from _parts(each, (*path, key))


def _rank(part: Pickled) -> tuple[int, int, bool]:
    """What stands nearest to the top under the most usual name; numbers before a module."""
    name = part.path[-1] if part.path else ""
    usual = _USUAL.index(name) if name in _USUAL else len(_USUAL)
    return len(part.path), usual, part.content is not Content.TENSORS


def _is_state(part: Mapping[Any, object]) -> bool:
    """Whether names stand for tensors; a little else may stand among them (`_extra_state`)."""
    tensors = sum(isinstance(each, _StandIn) and each.is_tensor for each in part.values())
    return 2 * tensors > len(part) and all(isinstance(key, str) for key in part)


def _load(file: Path) -> object:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            member = next(each for each in archive.infolist() if each.filename.endswith("data.pkl"))
            if member.file_size > _LARGEST:
                raise ValueError("too large for a list of names")
            return _Reader(BytesIO(archive.read(member))).load()
    if file.stat().st_size > _LARGEST * 64:  # an old file holds its numbers, too
        raise ValueError("too large")
    with file.open("rb") as content:
        return _load_old(content)


def _load_old(content: IO[bytes]) -> object:
    saved = _Reader(content).load()
    if saved != _MAGIC:
        return saved
    for _ in range(_BEFORE):
        _Reader(content).load()
    return _Reader(content).load()


class _StandIn:
    """Whatever a pickle makes by a class or function that it names."""

    class_name = ""
    is_tensor = False

    def __new__(cls, *_: object, **__: object) -> Self:
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        for each in state if isinstance(state, tuple) else (state,):
            if isinstance(each, dict):
                vars(self).update({str(key): part for key, part in each.items()})

    def __call__(self, *_: object) -> "_StandIn":
        return self

    def __setitem__(self, *_: object) -> None: ...

    def append(self, *_: object) -> None: ...

    def extend(self, *_: object) -> None: ...


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if container := _CONTAINERS.get((module, name)):
            return container
        rebuilt = module.partition(".")[0] == "torch" and name.startswith("_rebuild")
        names = {"class_name": f"{module}.{name}", "is_tensor": rebuilt}
        return type("StandIn", (_StandIn,), names)

    def persistent_load(self, pid: object) -> object:
        # Old files name a module's class together with its source code.
        if isinstance(pid, tuple) and pid[:1] == ("module",):
            return pid[1]
        return _StandIn()
