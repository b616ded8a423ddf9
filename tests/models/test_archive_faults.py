"""What people's archives get wrong, as `harness models audit` says it."""

import json
import zipfile
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.models.archive import MANIFEST
from harness.models.audit import Audit, Line, audit

IMAGE = {"numpy": "2.4.6", "torch": "2.15.0", "torchserve": "0.12.0", "pillow": "12.0.0"}
GOOD = """\
class H:
    def initialize(self, context): pass
    def handle(self, data, context): pass
"""


def _audit(folder: Path, files: dict[str, str | bytes], **model: str) -> Audit:
    path = folder / "m.mar"
    described = {"modelName": "m", "modelVersion": "1.0", "handler": "handler.py", **model}
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
        packed.writestr(MANIFEST, json.dumps({"model": described}))
    return audit(path, IMAGE)


def _texts(lines: tuple[Line, ...]) -> str:
    return "\n".join(map(str, lines))


@pytest.mark.parametrize(
    ("handler", "file"),
    [
        ("handler.py", "handler.py"),
        ("handler", "handler.py"),
        ("handler:handle", "handler.py"),
        ("src/handler.py", "handler.py"),  # TorchServe imports the last part alone
        ("pkg.serve", "pkg/serve.py"),
        ("pkg", "pkg/__init__.py"),
        ("image_classifier", "other.py"),
    ],
)
def test_a_handler_is_found_where_torchserve_looks(handler: str, file: str, tmp_path: Path) -> None:
    assert _audit(tmp_path, {file: GOOD}, handler=handler).errors == ()


@pytest.mark.parametrize("handler", ["src/handler.py", "handler", "handler:handle", ""])
def test_a_handler_that_torchserve_does_not_find_is_an_error(handler: str, tmp_path: Path) -> None:
    [line] = _audit(tmp_path, {"src/handler.py": GOOD}, handler=handler).errors
    assert line.at == MANIFEST


@pytest.mark.parametrize(
    ("code", "handler", "fault"),
    [
        ("def predict(x): return x\n", "", "no class and no function handle"),
        ("class H: pass\n", "", "class H has no method handle"),
        (GOOD.replace("initialize(self, context)", "load(self)"), "", "has no method initialize"),
        (
            GOOD.replace("initialize(self, context)", "initialize(self)"),
            "",
            "handler.py:2: initialize takes no argument, and TorchServe gives it context",
        ),
        (
            GOOD.replace("handle(self, data, context)", "handle(self, data)"),
            "",
            "handler.py:3: handle takes 1 argument, and TorchServe gives it data, context",
        ),
        (
            GOOD + "    def __init__(self, path): pass\n",
            "",
            "handler.py:4: __init__ takes 1 argument, and TorchServe gives it none",
        ),
        ("def handle(data): return data\n", "", "handler.py:1: handle takes 1 argument"),
        ("def serve(data): return data\n", "handler:serve", "serve takes 1 argument"),
        ("def handle(data, context): pass\n", "handler:serve", "no class and no function serve"),
    ],
)
def test_an_entry_point_that_cannot_be_called_is_an_error(
    code: str, handler: str, fault: str, tmp_path: Path
) -> None:
    errors = _texts(_audit(tmp_path, {"handler.py": code}, handler=handler or "handler.py").errors)
    assert fault in errors


@pytest.mark.parametrize(
    "code",
    [
        "from serve import *\n",
        "from serve import handle\n",
        "from ts.torch_handler.base_handler import BaseHandler\nclass H(BaseHandler): pass\n",
        "class H(Base):\n    def initialize(self, *args, **kwargs): pass\n",
        GOOD.replace("(self, data, context)", "(self, data, context=None, extra=1)"),
        GOOD.replace("    def initialize(self, context)", "    @timed\n    def initialize(self)"),
        "def handle(data, ctx): return data\nclass A: pass\nclass B: pass\n",
    ],
)
def test_an_entry_point_that_may_be_right_is_none(code: str, tmp_path: Path) -> None:
    assert _audit(tmp_path, {"handler.py": code, "serve.py": GOOD}).errors == ()


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (b"\xef\xbb\xbf" + GOOD.encode(), ""),
        (b"# -*- coding: latin-1 -*-\n# caf\xe9\n" + GOOD.encode(), ""),
        (b"# caf\xe9\n" + GOOD.encode(), "is not UTF-8"),
    ],
)
def test_code_is_read_as_python_reads_it(code: bytes, fault: str, tmp_path: Path) -> None:
    errors = _texts(_audit(tmp_path, {"handler.py": code}).errors)
    assert fault in errors
    assert bool(errors) == bool(fault)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("-i https://mirror.example/simple\npillow", ""),
        ("--extra-index-url https://mirror.example/whl/cu118\npillow", ""),
        ("pillow==12.0.0 \\\n    --hash=sha256:aaaa \\\n    --hash=sha256:bbbb", ""),
        ("pywin32; sys_platform == 'win32'", ""),
        ("-r more.txt", "more.txt is not in the archive"),
        ("git+https://git.example/a/b.git", "cannot be hashed: a Git repository"),
        ("own @ https://h.example/own-1.0-py3-none-any.whl", "is an address"),
        ("own-1.0-py3-none-any.whl", "own-1.0-py3-none-any.whl: cannot be hashed"),
        ("./own-1.0-py3-none-any.whl", "a path of one machine is not in the image"),
        ("transformers[torch]>=4.30", "add transformers to the model's requirements.in"),
    ],
)
def test_a_line_of_requirements_is_read_as_pip_reads_it(
    line: str, fault: str, tmp_path: Path
) -> None:
    files = {"handler.py": GOOD, "requirements.txt": line}
    errors = _texts(_audit(tmp_path, files, requirementsFile="requirements.txt").errors)
    assert fault in errors
    assert bool(errors) == bool(fault)


def test_a_list_as_powershell_writes_it_is_read(tmp_path: Path) -> None:
    files = {"handler.py": GOOD, "requirements.txt": "numpy\r\nftfy==6.0\r\n".encode("utf-16")}
    [line] = _audit(tmp_path, files, requirementsFile="requirements.txt").errors
    assert "ftfy==6.0: is not in the image" in line.text


def test_another_release_than_the_images_is_named(tmp_path: Path) -> None:
    files = {"handler.py": GOOD, "requirements.txt": "numpy<2\npillow>=10\n"}
    report = _audit(tmp_path, files, requirementsFile="requirements.txt")
    assert "numpy<2: the image has numpy 2.4.6" in _texts(report.warnings)
    assert "pillow" not in _texts((*report.errors, *report.warnings))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("minWorkers: '2'\n", "minWorkers: '2': TorchServe ignores it: a whole number is read"),
        ("batchSize: 2.5\n", "batchSize: 2.5: TorchServe ignores it"),
        ("useJobTicket: 'yes'\n", "useJobTicket: 'yes': TorchServe ignores it"),
        ("- a\n", "holds no settings"),
        ("a: 1\n\tb: 2\n", "is not YAML"),
    ],
)
def test_settings_that_torchserve_ignores_are_named(
    settings: str, fault: str, tmp_path: Path
) -> None:
    files = {"handler.py": GOOD, "model-config.yaml": settings}
    assert fault in _texts(_audit(tmp_path, files, configFile="model-config.yaml").warnings)


@pytest.mark.parametrize("key", ["configFile", "serializedFile", "modelFile", "requirementsFile"])
def test_a_file_that_the_manifest_names_and_lacks_is_named(key: str, tmp_path: Path) -> None:
    report = _audit(tmp_path, {"handler.py": GOOD}, **{key: "gone.txt"})
    assert "gone.txt is not in the archive" in _texts(report.warnings)


def test_a_workflow_is_told_from_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "flow.war"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="is a workflow"):
        audit(path, IMAGE)
