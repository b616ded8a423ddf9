"""What the pickles in an archive would import when somebody loads them.

A pickle can run anything. picklescan reads which globals it names, without loading it; what is not
known to be harmless here is a finding, so that a new trick is found without a new list.
TorchScript's files look like pickles and are none for Python: libtorch reads them.
"""

import contextlib
import io
import logging
import zipfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from harness.models.archive import Entry

_ZIP = b"PK\x03\x04"
_PROTOCOLS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
_OLD_SUFFIXES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".bin", ".ckpt")
_SCANNED_BYTES = 64 << 20  # of a pickle: the weights of a PyTorch file lie next to it, not in it
_HARMLESS = {
    "builtins": {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int"}
    | {"list", "object", "range", "set", "slice", "str", "tuple"},
    "__builtin__": {"long", "object", "set", "unicode"},
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "torch": {"Size", "device", "Tensor"},
    "torch._tensor": {"_rebuild_from_type_v2"},
    "torch.nn.parameter": {"Parameter", "Buffer"},
    "torch.serialization": {"_get_layout"},
    "torch.storage": {"UntypedStorage", "TypedStorage"},
}
_HARMLESS_PREFIXES = (
    ("torch", "float"), ("torch", "int"), ("torch", "uint"), ("torch", "bfloat"),
    ("torch", "complex"), ("torch", "bool"), ("torch._utils", "_rebuild_"),
)  # fmt: skip
_MODULES = ("torch.nn.modules.", "torchvision.models.", "numpy.dtypes")
"""Packages whose classes only hold layers and numbers."""


@dataclass(frozen=True, slots=True)
class PickleFinding:
    """A global that a pickle names and that is not known to be harmless.

    Attributes:
        file: the path in the archive; of a PyTorch file, with the pickle in it after ``:``.
        name: the global, ``os.system``; empty if the pickle could not be read.
        is_dangerous: whether the scanner knows it as a way to run code.
    """

    file: str
    name: str
    is_dangerous: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What the archive's files are, by their bytes."""

    torchscript: tuple[str, ...]
    pickles: tuple[str, ...]
    findings: tuple[PickleFinding, ...]


def scan(files: list[Entry]) -> Scan:
    """Look at each file of an archive."""
    logging.getLogger("picklescan").setLevel(logging.CRITICAL)  # what it finds is returned
    modules = {PurePosixPath(each.name).with_suffix("").parts[0] for each in files}
    torchscript: list[str] = []
    pickles: list[str] = []
    findings: list[PickleFinding] = []
    for file in files:
        with file.open() as content:
            start = content.read(4)
        if start == _ZIP:
            with file.open() as content, _zip(content) as packed:
                if packed is None:  # PyTorch reads more than Python does
                    findings.append(PickleFinding(file.name, "", is_dangerous=False))
                elif any(name.endswith("/constants.pkl") for name in packed.namelist()):
                    torchscript.append(file.name)
                else:
                    for member in packed.infolist():
                        if member.filename.endswith(".pkl"):
                            pickles.append(f"{file.name}:{member.filename}")
                            with packed.open(member) as inner:
                                size = member.file_size
                                findings += _findings(pickles[-1], inner, size, modules)
        elif _is_pickle(file, start):
            pickles.append(file.name)
            with file.open() as content:
                findings += _findings(file.name, content, file.size, modules)
    return Scan(tuple(torchscript), tuple(pickles), tuple(findings))


@contextlib.contextmanager
def _zip(content: IO[bytes]) -> Iterator[zipfile.ZipFile | None]:
    """A zip inside an archive; None if it cannot be read as one."""
    try:
        packed = zipfile.ZipFile(content)
    except (zipfile.BadZipFile, OSError):
        yield None
        return
    with packed:
        yield packed


def _is_pickle(file: Entry, start: bytes) -> bool:
    if start.startswith(_PROTOCOLS):
        return True
    # Protocols 0 and 1 have no mark: by what people call such files.
    return file.name.endswith(_OLD_SUFFIXES) and start[:1] in b"(]}clidIFSUVN" and bool(start)


def _findings(
    name: str, content: IO[bytes], size: int, modules: Container[str]
) -> Iterator[PickleFinding]:
    if size > _SCANNED_BYTES:
        yield PickleFinding(name, "", is_dangerous=False)
        return
    scanned = scan_pickle_bytes(io.BytesIO(content.read()), name)
    if scanned.scan_err and not scanned.globals:
        yield PickleFinding(name, "", is_dangerous=False)
    for each in scanned.globals:
        if not _is_harmless(each.module, each.name, modules):
            dangerous = each.safety == SafetyLevel.Dangerous
            yield PickleFinding(name, f"{each.module}.{each.name}", dangerous)


def _is_harmless(module: str, name: str, modules: Container[str]) -> bool:
    if name in _HARMLESS.get(module, ()) or f"{module}.".startswith(_MODULES):
        return True
    if module == "torch" and name.endswith("Storage"):
        return True
    # A module of the archive itself is code that is read as code.
    return module.partition(".")[0] in modules or any(
        module == each and name.startswith(prefix) for each, prefix in _HARMLESS_PREFIXES
    )
