"""`harness models new` writes a model that builds of whatever somebody brings."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.models import artifact, kind, new, remote
from harness.models.archive import pack
from harness.models.catalog import load_model
from harness.models.kind import Kind


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    (tmp_path / "site" / "models").mkdir(parents=True)
    return Repository(tmp_path / "site")


def write_zip(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, json.dumps({"model": {"modelName": "mine", "handler": "h.py"}}))
    return path


def write(folder: Path, content: bytes) -> Path:
    folder.write_bytes(content)
    return folder


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"architectures": ["BertForSequenceClassification"]}')
    return folder


SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
BRINGS: dict[str, tuple[Kind, Callable[[Path], Path]]] = {
    "net.pt": (Kind.TORCHSCRIPT, lambda p: write_zip(p, "net/constants.pkl", "net/data.pkl")),
    "best.pt": (Kind.STATE_DICT, lambda p: write_zip(p, "net/data.pkl", "net/data/0")),
    "old.pth": (Kind.STATE_DICT, lambda p: write(p, b"\x80\x02\x8a\x0a")),
    "net.pt2": (Kind.EXPORT, lambda p: write_zip(p, "net/archive_format", "net/models/model.json")),
    "aoti.pt2": (
        Kind.INDUCTOR,
        lambda p: write_zip(p, "net/archive_format", "net/data/aotinductor/model/x.so"),
    ),
    "model.safetensors": (Kind.SAFETENSORS, lambda p: write(p, SAFETENSORS)),
    "net.onnx": (Kind.ONNX, lambda p: write(p, b"\x08\x07onnx")),
    "forest.json": (Kind.OTHER, lambda p: write(p, b"{}")),
    "bert": (Kind.HUGGINGFACE, lambda p: tree(p, "config.json", "1_Pooling/config.json")),
    "sd": (Kind.DIFFUSERS, lambda p: tree(p, "model_index.json", "unet/config.json")),
    "files": (Kind.FOLDER, lambda p: tree(p, "a.bin", "b/c.bin")),
}


@pytest.mark.parametrize("name", BRINGS)
def test_whatever_is_brought_becomes_a_model_that_packs(name, repository, tmp_path, monkeypatch):
    expected, make = BRINGS[name]
    brought = make(tmp_path / name)
    assert kind.of_path(brought) == expected

    model = new.write(repository, "mine", str(brought))
    path = repository.models / "mine" / "model.yaml"
    staging = tmp_path / "staging"
    staging.mkdir()
    contents = artifact.stage(load_model(path), path.parent, staging, tmp_path / "downloads")
    with (tmp_path / "mine.mar").open("wb") as mar:
        pack(contents, mar)
    compile((path.parent / "handler.py").read_text(), "handler.py", "exec")
    assert "$" not in (path.parent / "handler.py").read_text().replace("${", "")
    assert model.kind == expected
    assert any("harness models build" in step for step in model.steps)


class Network(torch.nn.Module):
    """A small network, which its pickle only names."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)


class Loud:
    """A pickle of it runs a command when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def _adam():
    network = Network()
    optimizer = torch.optim.Adam(network.parameters())
    network.layer(torch.ones(2)).backward()
    optimizer.step()
    return optimizer.state_dict()


NUMBERS = Network().state_dict()
SAVED = {
    "a state dict": (NUMBERS, Kind.STATE_DICT, ""),
    "of another form": ({**NUMBERS, "_extra_state": {"scale": 1}}, Kind.STATE_DICT, ""),
    "of parameters": (dict(Network().named_parameters()), Kind.STATE_DICT, ""),
    "Lightning's": (
        {"epoch": 3, "optimizer_states": [_adam()], "state_dict": NUMBERS, "callbacks": {}},
        Kind.CHECKPOINT,
        '["state_dict"]',
    ),
    "of a training loop": (
        {"model_state_dict": NUMBERS, "optimizer_state_dict": _adam(), "loss": torch.ones(1)},
        Kind.CHECKPOINT,
        '["model_state_dict"]',
    ),
    "its average too": ({"ema": NUMBERS, "model": NUMBERS}, Kind.CHECKPOINT, '["model"]'),
    "deeper": ({"best": {"params": NUMBERS}, "step": 1}, Kind.CHECKPOINT, '["best"]["params"]'),
    "numbers beside a module": (
        {"net": Network(), "state_dict": NUMBERS},
        Kind.CHECKPOINT,
        '["state_dict"]',
    ),
    "an optimizer alone": (_adam(), Kind.STATE_DICT, ""),
    "a module": (Network(), Kind.MODULE, ""),
    "YOLO's": ({"model": Network(), "mean": {"all": torch.ones(1)}}, Kind.MODULE, '["model"]'),
    "of another library": (Fraction(1, 2), Kind.OTHER, ""),
    "a command": (Loud(), Kind.OTHER, ""),
    "a command in a checkpoint": (
        {"hyper_parameters": Loud(), "state_dict": NUMBERS},
        Kind.CHECKPOINT,
        '["state_dict"]',
    ),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("name", SAVED)
def test_what_pytorch_saved_is_told_apart_without_running_it(
    name, zipped, repository, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    saved, expected, keys = SAVED[name]
    path = tmp_path / "best.pt"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert kind.of_path(path) == expected
    if expected == Kind.MODULE:
        with pytest.raises(
            UsageError, match=r"is a whole module, pickled.*test_new\.Network"
        ) as why:
            new.write(repository, "mine", str(path))
        assert f'torch.load("best.pt", weights_only=False){keys}; ' in why.value.hint
    else:
        new.write(repository, "mine", str(path))
        handler = (repository.models / "mine" / "handler.py").read_text()
        assert expected == Kind.OTHER or f"weights_only=True){keys})" in handler
    assert not (tmp_path / "ran").exists()


def test_a_checkpoints_handler_loads_its_numbers(repository, tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    torch.save({"epoch": 1, "state_dict": NUMBERS}, path)
    model = new.write(repository, "mine", str(path))
    assert "copy the network's code into network.py" in model.steps
    monkeypatch.syspath_prepend(repository.models / "mine")
    monkeypatch.setitem(sys.modules, "network", SimpleNamespace(Network=Network))
    namespace = {}
    exec((repository.models / "mine" / "handler.py").read_text(), namespace)  # noqa: S102
    handler = namespace["Handler"]()
    manifest = {"model": {"serializedFile": "best.ckpt"}}
    folder = {"model_dir": str(repository.models / "mine"), "gpu_id": None}
    handler.initialize(SimpleNamespace(system_properties=folder, manifest=manifest))
    assert handler.model.layer.weight.tolist() == NUMBERS["layer.weight"].tolist()


def test_an_archive_is_adopted(repository, tmp_path):
    mar = tmp_path / "theirs.mar"
    with zipfile.ZipFile(mar, "w") as archive:
        about = {"model": {"modelName": "mine", "modelVersion": "7", "handler": "h.py"}}
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(about))
    new.write(repository, "mine", str(mar))
    model = load_model(repository.models / "mine" / "model.yaml")
    assert (model.version, model.artifact.adopted.archive) == ("7", "theirs.mar")
    new.write(repository, "served-under-another-name", str(mar))


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ("nothing.pt", r"no file or folder nothing.pt"),
        ("net.whl", r"net.whl is a package: unpack it"),
    ],
)
def test_what_it_cannot_take_is_said(repository, tmp_path, monkeypatch, origin, says):
    monkeypatch.chdir(tmp_path)
    write_zip(tmp_path / "net.whl", "net/data.onnx")
    with pytest.raises(UsageError, match=says):
        new.write(repository, "mine", origin)
    assert not (repository.models / "mine").exists()


@pytest.mark.parametrize("name", ["a b", "../mine", "-x", ""])
def test_what_is_no_name_is_refused(repository, tmp_path, name):
    weights = write(tmp_path / "net.onnx", b"\x08\x07onnx")
    with pytest.raises(UsageError, match="is not a valid model name"):
        new.write(repository, name, str(weights))


def test_a_model_that_exists_is_left_alone(tiny):
    before = (tiny.models / "tiny" / "model.yaml").read_bytes()
    with pytest.raises(UsageError, match="models/tiny already exists"):
        new.write(tiny, "tiny", str(tiny.models / "tiny" / "tiny.pt"))
    assert (tiny.models / "tiny" / "model.yaml").read_bytes() == before


def test_large_files_stay_where_they_are(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(new, "_IN_GIT", 4)
    weights = write(tmp_path / "net.onnx", b"\x08\x07onnx")
    new.write(repository, "mine", str(weights))
    folder = repository.models / "mine"
    assert load_model(folder / "model.yaml").artifact.onnx.file == str(weights)
    assert not (folder / "net.onnx").exists()
    assert remote.pin(str(weights), folder).files["net.onnx"].size == 6


def test_the_command_says_what_to_do_next(repository, tmp_path):
    (repository.root / "clusters").mkdir()
    weights = write(tmp_path / "net.onnx", b"\x08\x07onnx")
    run = subprocess.run(
        [sys.executable, "-m", "harness", "models", "new", "mine", "--from", str(weights)],
        cwd=repository.root,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "wrote models/mine/model.yaml" in run.stdout
    assert "make requirements && make setup" in run.stdout
    assert (repository.models / "mine" / "requirements.in").read_text() == "onnxruntime\n"
