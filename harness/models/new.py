"""A model from what somebody has: a file, a folder, an address, or a file of a package.

written = new.write(repository, "magika", "model.onnx")
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from harness.core import files
from harness.core.errors import HarnessError, InputError, UsageError
from harness.core.repository import Repository
from harness.models import archive, kind, pickled, source
from harness.models.kind import Kind
from harness.models.lock import NAME

_SKELETONS = Path(__file__).parent / "skeletons"
_IN_GIT = 50 << 20  # bytes; GitHub warns from here on, and refuses 100 MiB
_UNKNOWN = "UNKNOWN"
_PACKAGES = {
    Kind.ONNX: "onnxruntime\n",
    Kind.SAFETENSORS: "safetensors\n",
    Kind.HUGGINGFACE: "transformers\n",
    Kind.DIFFUSERS: "accelerate\ndiffusers\ntransformers\n",
}
_EAGER = (Kind.STATE_DICT, Kind.CHECKPOINT, Kind.SAFETENSORS)  # numbers without their network
_KEYS = {Kind.INDUCTOR: "export"}  # where the artifact's key is not the kind's name
_NETWORK = """Network()
        self.model.load_state_dict({})
        self.model.eval().to(self.device)"""
_EXTRA_FILES = """# extraFiles:            # path in the archive: file, folder or wildcard
#   labels.json: labels.json
"""
_LOAD = {
    Kind.TORCHSCRIPT: ("", "torch.jit.load(file, map_location=self.device).eval()"),
    Kind.EXPORT: ("", "torch.export.load(file).module().to(self.device)"),
    Kind.INDUCTOR: (
        "from torch._inductor import aoti_load_package\n",
        "aoti_load_package(str(file))",
    ),
    Kind.STATE_DICT: (
        "from network import Network\n",
        _NETWORK.format('torch.load(file, map_location="cpu", weights_only=True)'),
    ),
    Kind.CHECKPOINT: (
        "from network import Network\n",
        _NETWORK.format('torch.load(file, map_location="cpu", weights_only=True)$STATE'),
    ),
    Kind.SAFETENSORS: (
        "from network import Network\nfrom safetensors.torch import load_file\n",
        _NETWORK.format("load_file(file)"),
    ),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """What somebody brings.

    Attributes:
        source: how model.yaml names it.
        kind: what it is.
        license: what its hub says.
        task: of a HuggingFace folder.
        copied: the file or folder that is copied next to model.yaml.
        keys: those that lead to the state dict in a checkpoint.
    """

    source: str
    kind: Kind
    license: str = ""
    task: str = ""
    copied: Path | None = None
    keys: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """What Python writes after the name of a checkpoint to get its state dict."""
        return "".join(f"[{key!r}]".replace("'", '"') for key in self.keys)


@dataclass(frozen=True, slots=True)
class NewModel:
    """What was written, by path, and what to do next, command by command."""

    kind: Kind
    written: tuple[Path, ...]
    steps: tuple[str, ...]


def write(repository: Repository, name: str, text: str) -> NewModel:
    """Write ``models/<name>``, so that it builds.

    Args:
        repository: where.
        name: of the model.
        text: a file or folder of this machine, an address, or package:path.

    Raises:
        UsageError: it is not a name, there is such a model, or nothing of that name to make it of.
        HarnessError: the address cannot be reached.
    """
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"{name!r} is not a valid model name", hint="letters, digits and . _ - alone"
        )
    folder = repository.models / name
    if (folder / "model.yaml").exists():
        raise UsageError(f"models/{name} already exists", hint="take another name")
    origin = _origin(text, folder)
    contents = _contents(name, origin)
    if origin.copied:
        target = folder / origin.source
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if origin.copied.is_dir() else shutil.copyfile
        copy(origin.copied, target)
    for file, content in contents.items():
        files.write(folder / file, content)
    written = tuple(folder / file for file in contents)
    return NewModel(origin.kind, written, _steps(name, origin))


def _origin(text: str, folder: Path) -> Origin:
    if source.is_remote(text):
        return _at_address(text)
    if source.package_of(text) and not Path(text).exists():
        return Origin(text, kind.of_path(source.resolve(text, folder)))
    path = Path(text).expanduser().resolve()
    if not path.exists():
        raise UsageError(f"no file or folder {text}", hint="an address begins with s3://, hf://, …")
    if path.suffix == ".whl":
        raise UsageError(
            f"{path.name} is a package: unpack it, and name one of its files",
            hint=f"python -m zipfile -e {text} FOLDER",
        )
    content = kind.of_path(path)
    keys = _look_into(path, content) if content in (Kind.CHECKPOINT, Kind.MODULE) else ()
    task = kind.task((path / "config.json").read_bytes()) if content == Kind.HUGGINGFACE else ""
    origin = Origin(str(path), content, task=task, keys=keys)
    if path.is_relative_to(folder):
        return replace(origin, source=path.relative_to(folder).as_posix())
    return replace(origin, source=path.name, copied=path) if _size(path) <= _IN_GIT else origin


def _look_into(path: Path, content: Kind) -> tuple[str, ...]:
    """The keys that lead to the state dict in a checkpoint."""
    saved = pickled.look(path)
    if content == Kind.CHECKPOINT:
        return saved.path
    state = Origin("", content, keys=saved.path).state
    raise UsageError(
        f"{path.name} is a whole module, pickled: it can be loaded only where the code of "
        f"{saved.class_name} is, and to load it is to run it",
        hint="there, take its numbers out, and name weights.pt here: "
        f"""python -c 'import torch; net = torch.load("{path.name}", weights_only=False){state}; """
        """torch.save(net.state_dict(), "weights.pt")'""",
    )


def _at_address(text: str) -> Origin:
    from harness.models.servers import look

    listing = look(text)
    if not listing.is_folder:
        content = kind.of_name(listing.files[0].name)
        keys = ("state_dict",) if content == Kind.CHECKPOINT else ()  # as Lightning calls it
        return Origin(text, content, listing.license, keys=keys)
    kinds = kind.of_names(file.name for file in listing.files)
    config = next((file for file in listing.files if file.name == "config.json"), None)
    settings = b"".join(config.read(0)[1]) if config and kinds == Kind.HUGGINGFACE else b""
    return Origin(text, kinds, listing.license, kind.task(settings))


def _size(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in inside if each.is_file())


def _contents(name: str, origin: Origin) -> Mapping[str, str]:
    """The files of the new model, by name."""
    if origin.kind == Kind.ARCHIVE:
        return {"model.yaml": _adopting(name, origin)}
    contents = {"model.yaml": _model_yaml(name, origin), "handler.py": _handler(origin)}
    if origin.kind in _EAGER:
        contents["network.py"] = _skeleton("network", FILE=_basename(origin))
    if packages := _PACKAGES.get(origin.kind):
        contents["requirements.in"] = packages
    return contents


def _adopting(name: str, origin: Origin) -> str:
    version = "1.0"
    if origin.copied and origin.copied.is_file():
        try:
            manifest = archive.read_manifest(origin.copied)
        except InputError:
            manifest = None  # a .tar.gz; the build says what is wrong with it
        version = (manifest and manifest.model_version) or version
    return (
        "# yaml-language-server: $schema=../../schemas/model.json\n"
        f'name: {name}\nversion: "{version}"\n'
        "description: TODO what it answers, in one sentence\n"
        f'artifact:\n  adopted:\n    archive: "{origin.source}"\n'
    )


def _model_yaml(name: str, origin: Origin) -> str:
    return _skeleton(
        "model",
        NAME=name,
        LICENSE=origin.license or _UNKNOWN,
        ARTIFACT=_artifact(origin),
        EXTRA=_extra_files(origin),
    )


def _artifact(origin: Origin) -> str:
    quoted = f'"{origin.source}"'
    match origin.kind:
        case Kind.STATE_DICT | Kind.CHECKPOINT | Kind.SAFETENSORS:
            return f"artifact:\n  eager:\n    code: network.py\n    stateDict: {quoted}\n"
        case Kind.HUGGINGFACE | Kind.DIFFUSERS | Kind.FOLDER:
            return (
                f"artifact:\n  {origin.kind}:\n    folder: {quoted}\n"
                "    # What stays out, by wildcard: other formats of the same weights.\n"
                '    exclude: ["*.h5", "*.msgpack", "*.ot", "onnx/*", "openvino/*"]\n'
            )
        case Kind.OTHER:
            return "# No artifact: the handler loads what lies in extraFiles.\n"
        case _:
            key = _KEYS.get(origin.kind, origin.kind)
            return f"artifact:\n  {key}:\n    file: {quoted}\n"


def _extra_files(origin: Origin) -> str:
    if origin.kind == Kind.OTHER:
        return f'extraFiles:\n  "{_basename(origin)}": "{origin.source}"\n'
    return _EXTRA_FILES


def _handler(origin: Origin) -> str:
    if origin.kind in _LOAD:
        imports, load = _LOAD[origin.kind]
        load = f"        self.model = {load}".replace("$STATE", origin.state)
        return _skeleton("torch", IMPORTS=imports, LOAD=load)
    if origin.kind == Kind.FOLDER:
        return _skeleton("other", FILE="model")
    task = origin.task or "text-classification"
    return _skeleton(origin.kind, FILE=_basename(origin), TASK=task)


def _basename(origin: Origin) -> str:
    return PurePosixPath(origin.source.partition("?")[0]).name


def _skeleton(name: str, **words: str) -> str:
    try:
        text = (_SKELETONS / f"{name}.txt").read_text(encoding="utf-8")
    except OSError as error:
        raise HarnessError(f"the installation lacks the skeleton {name}") from error
    for word, value in words.items():
        text = text.replace(f"${word}", value)
    return text


def _steps(name: str, origin: Origin) -> tuple[str, ...]:
    packages = ("make requirements && make setup",) if origin.kind in _PACKAGES else ()
    network = ("copy the network's code into network.py",) if origin.kind in _EAGER else ()
    return (
        *packages,
        *network,
        "harness models build",
        f"add `{name}: {{}}` under models: in apps/torchserve/local/torchserve/serving.yaml",
        "harness serve --env local",
        f"curl -T REQUEST http://127.0.0.1:8080/predictions/{name}",
        f"harness models record {name} REQUEST",
    )
