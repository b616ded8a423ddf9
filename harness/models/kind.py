"""What a file or folder that somebody brings is, by its content."""

import enum
import json
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path

from harness.models import pickled
from harness.models.archive import MANIFEST
from harness.models.pickled import Content, Pickled

_PICKLE, _ZIP, _GZIP = b"\x80", b"PK\x03\x04", b"\x1f\x8b"
_ONNX = b"\x08"  # the first field of a ModelProto: its version
_HEADER_BYTES = 100 << 20  # safetensors' own limit


class Kind(enum.StrEnum):
    """A kind of model. Most have a skeleton of their name in harness/models/skeletons."""

    TORCHSCRIPT = "torchscript"
    EXPORT = "export"
    INDUCTOR = "inductor"  # AOTInductor's package
    STATE_DICT = "state_dict"
    CHECKPOINT = "checkpoint"  # a state dict among what training goes on with
    MODULE = "module"  # a pickled object of a class, which only its own code can load
    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    HUGGINGFACE = "huggingface"
    DIFFUSERS = "diffusers"
    FOLDER = "folder"
    ARCHIVE = "archive"
    OTHER = "other"


def of_path(path: Path) -> Kind:
    """The kind of a file or folder of this machine."""
    if path.is_dir():
        return of_names(each.relative_to(path).as_posix() for each in path.rglob("*"))
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(_ZIP) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            of_zip = _of_zip(archive.namelist())
        return _of_pickle(path) if of_zip == Kind.STATE_DICT else of_zip
    if start.startswith(_GZIP):
        return Kind.ARCHIVE
    if path.suffix == ".so":
        return Kind.INDUCTOR
    if start.startswith(_PICKLE):
        return _of_pickle(path)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") < _HEADER_BYTES:
        return Kind.SAFETENSORS
    if path.suffix == ".onnx" and start.startswith(_ONNX):
        return Kind.ONNX
    return Kind.OTHER


def _of_pickle(path: Path) -> Kind:
    match pickled.look(path):
        case Pickled(Content.TENSORS, keys) if keys:
            return Kind.CHECKPOINT
        case Pickled(Content.MODULE):
            return Kind.MODULE
        case Pickled(Content.OBJECT):
            return Kind.OTHER
        case _:
            return Kind.STATE_DICT


def of_names(names: Iterable[str]) -> Kind:
    """The kind of a folder, by the files in it."""
    inside = set(names)
    if MANIFEST in inside:
        return Kind.ARCHIVE
    if "model_index.json" in inside:
        return Kind.DIFFUSERS
    return Kind.HUGGINGFACE if "config.json" in inside else Kind.FOLDER


def of_name(name: str) -> Kind:
    """The kind of a file that lies elsewhere, by its name alone."""
    suffixes = {
        ".mar": Kind.ARCHIVE,
        ".onnx": Kind.ONNX,
        ".pt2": Kind.EXPORT,
        ".pth": Kind.STATE_DICT,
        ".bin": Kind.STATE_DICT,
        ".ckpt": Kind.CHECKPOINT,
        ".pt": Kind.TORCHSCRIPT,
        ".jit": Kind.TORCHSCRIPT,
        ".safetensors": Kind.SAFETENSORS,
    }
    return suffixes.get(Path(name).suffix.lower(), Kind.OTHER)


def task(config: bytes) -> str:
    """The pipeline of transformers that fits a config.json; empty if none is known to."""
    try:
        architectures = json.loads(config).get("architectures") or [""]
    except (ValueError, AttributeError):
        return ""
    for suffix, name in _TASKS.items():
        if str(architectures[0]).endswith(suffix):
            return name
    return "feature-extraction" if str(architectures[0]).endswith("Model") else ""


_TASKS = {
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForImageClassification": "image-classification",
    "ForObjectDetection": "object-detection",
    "ForCTC": "automatic-speech-recognition",
}


def _of_zip(names: Collection[str]) -> Kind:
    if MANIFEST in names:
        return Kind.ARCHIVE
    if any("/data/aotinductor/" in name for name in names):
        return Kind.INDUCTOR
    if any(name.rpartition("/")[2] == "archive_format" for name in names) or any(
        name.startswith("serialized_exported_program") or "/models/" in name for name in names
    ):
        return Kind.EXPORT
    if any(name.endswith("/constants.pkl") for name in names):
        return Kind.TORCHSCRIPT
    return Kind.STATE_DICT if any(name.endswith("/data.pkl") for name in names) else Kind.OTHER
