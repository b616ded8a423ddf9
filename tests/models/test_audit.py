"""What `harness models audit` says of an archive, before anything of it runs."""

import collections
import io
import json
import pickle
import tarfile
import zipfile
from datetime import date
from pathlib import Path

import pytest

from harness import cli, image_sets
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.models import archive_contents, pickles
from harness.models.archive import MANIFEST, text_entry
from harness.models.audit import Audit, audit, packages_of, refuse_pickles
from harness.models.catalog import Catalog, Model
from harness.models.lock import Lock, LockedModel

HANDLER = """\
import json
import os

import numpy
import requests
from sentence_transformers import SentenceTransformer
from ts.torch_handler.base_handler import BaseHandler

import pre

try:
    import flash_attn
except ImportError:
    flash_attn = None


class Handler(BaseHandler):
    def initialize(self, context):
        import einops
        self.model = SentenceTransformer.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
        self.model.cuda()
        self.token = os.environ["HF_TOKEN"]
        self.level = os.getenv("LEVEL", "1")
        open("/opt/ml/log.txt", "a")
        open("/tmp/scratch", "w")

    def preprocess(self, data):
        self.context.get_request_header(0, "X-Tenant")
        self.context.metrics.add_counter("words", 1)
        send_intermediate_predict_response(["a"], {}, "ok", 200, self.context)
"""
FILES = {
    "handler.py": HANDLER.encode(),
    "pre.py": b"def clean(text):\n    import pandas\n    return text\n",
    "model-config.yaml": b"deviceType: gpu\npt2: {compile: {enable: true}}\n",
    "requirements.txt": b"# of the handler\nsentence_transformers==3.0\nftfy>=6\n",
    MANIFEST: json.dumps(
        {
            "runtime": "python",
            "model": {
                "modelName": "minilm",
                "modelVersion": "1.0",
                "handler": "handler.py",
                "configFile": "model-config.yaml",
                "requirementsFile": "requirements.txt",
            },
        }
    ).encode(),
}
IMAGE = dict.fromkeys(("numpy", "torchserve", "torch", "requests"), "1.0")


class Evil:
    def __reduce__(self):
        return eval, ("1",)


def mar(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return path


def torch_file(pickled: bytes, *more: str) -> bytes:
    """A file as torch.save writes it: a zip with the pickle and the weights in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("weights/data.pkl", pickled)
        for name in ("weights/data/0", *more):
            packed.writestr(name, b"0000")
    return content.getvalue()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return audit(mar(tmp_path_factory.mktemp("audit") / "minilm.mar", FILES), IMAGE)


def at(lines, word: str) -> list[str]:
    return [line.at for line in lines if word in line.text]


def test_what_stands_in_it_is_read(report):
    contents = report.contents
    assert (contents.name, contents.version, contents.handler) == ("minilm", "1.0", "handler.py")
    assert contents.settings == {"deviceType": "gpu", "pt2": {"compile": {"enable": True}}}
    assert contents.requirements == ("sentence_transformers==3.0", "ftfy>=6")
    assert set(contents.python) == {"handler.py", "pre.py"}


def test_every_form_of_archive_is_read_alike(tmp_path, report):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as packed:
        for name, content in FILES.items():
            path = tmp_path / "folder" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            packed.add(path, f"a/{name}")
    for name in ("a.tar.gz", "folder"):
        contents = archive_contents.read(tmp_path / name)
        assert contents.python == report.contents.python
        assert contents.settings == report.contents.settings


@pytest.mark.parametrize(
    ("kind", "word", "place"),
    [
        ("errors", "import sentence_transformers: is needed", "handler.py:6"),
        ("errors", "import einops: is needed", "handler.py:19"),
        ("errors", "ftfy>=6: is not in the image", "requirements.txt"),
        ("warnings", "import flash_attn: is needed by one path", "handler.py:12"),
        ("warnings", "import pandas: is needed by one path", "pre.py:2"),
        ("warnings", "import requests: no network", "handler.py:5"),
        ("warnings", "from_pretrained: no network", "handler.py:20"),
        ("warnings", "self.model.cuda: a GPU is assumed", "handler.py:21"),
        ("warnings", "open: the container's file system is read-only", "handler.py:24"),
        ("notes", "HF_TOKEN: reads an environment variable", "handler.py:22"),
        ("notes", "LEVEL: reads an environment variable", "handler.py:23"),
        ("notes", "get_request_header: reads or sets HTTP headers", "handler.py:28"),
        ("notes", "add_counter: has metrics of its own", "handler.py:29"),
        ("notes", "streams its answer", "handler.py:30"),
    ],
)
def test_what_would_fail_or_matter_is_named_with_its_line(report, kind, word, place):
    assert at(getattr(report, kind), word) == [place]


def test_what_the_image_has_and_what_is_the_archives_own_is_no_finding(report):
    text = "\n".join(map(str, (*report.errors, *report.warnings)))
    assert "import numpy" not in text
    assert "import pre" not in text
    assert "import ts" not in text
    assert "/tmp/scratch" not in text


def test_a_handler_that_is_not_there_or_not_python_is_an_error(tmp_path):
    broken = mar(tmp_path / "m.mar", FILES | {"pre.py": b"print 'two'\n"})
    assert at(audit(broken, IMAGE).errors, "not Python 3") == ["pre.py:1"]
    without = mar(tmp_path / "n.mar", {MANIFEST: FILES[MANIFEST]})
    assert at(audit(without, IMAGE).errors, "handler.py is not in the archive") == [MANIFEST]


@pytest.mark.parametrize(
    "text", [b"a: [", b"a: 2026-13-45\n", b"[" * 5000], ids=["cut", "date", "deep"]
)
def test_settings_that_nobody_can_read_are_named_and_the_rest_is_read(tmp_path, text):
    path = mar(tmp_path / "m.mar", FILES | {"model-config.yaml": text})
    report = audit(path, IMAGE)
    assert at(report.warnings, "model-config.yaml is not YAML") == ["model-config.yaml"]
    assert report.errors == audit(mar(tmp_path / "n.mar", FILES), IMAGE).errors


def test_an_empty_folder_is_no_archive(tmp_path):
    with pytest.raises(InputError, match="holds no file"):
        audit(tmp_path, IMAGE)


TWO = b"class Features: pass\nclass Handler:\n    def handle(self, data, context): return data\n"


@pytest.mark.parametrize(
    ("more", "places"),
    [
        (b"", ["handler.py"]),
        (b"def handle(data, context): return data\n", []),
        (b"handle = Handler().handle\n", []),
        (b"from pre import handle\n", []),
    ],
)
def test_a_handler_of_two_classes_is_an_error(tmp_path, more, places):
    path = mar(tmp_path / "m.mar", FILES | {"handler.py": TWO + more, "pre.py": TWO})
    assert at(audit(path, IMAGE).errors, "2 classes (Features, Handler)") == places


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("wrap", [bytes, torch_file], ids=["plain", "torch"])
def test_a_pickle_that_runs_code_is_found_wherever_it_is(protocol, wrap):
    scan = pickles.scan([text_entry("w.pt", wrap(pickle.dumps(Evil(), protocol)))])
    [finding] = scan.findings
    assert finding.name.endswith(".eval")
    assert finding.is_dangerous


def test_weights_are_no_finding():
    state = {"layer": collections.OrderedDict(weight=1.5, bias=[1, 2]), "when": date(2026, 1, 1)}
    plain = text_entry("w.pkl", pickle.dumps(state))
    inside = text_entry("w.pth", torch_file(pickle.dumps(state)))
    assert pickles.scan([plain, inside]).findings == ()
    assert len(pickles.scan([plain, inside]).pickles) == 2


def test_what_is_not_known_is_a_finding_without_any_list_of_tricks():
    trick = b"cidlelib.pyshell\nModifiedInterpreter\n."
    [finding] = pickles.scan([text_entry("w.pkl", trick)]).findings
    assert finding.name == "idlelib.pyshell.ModifiedInterpreter"


def test_a_class_of_the_archive_itself_is_code_and_no_finding():
    module = text_entry("net.py", b"class Net: ...\n")
    whole = text_entry("whole.pkl", b"cnet\nNet\n.")
    assert pickles.scan([module, whole]).findings == ()


def test_torchscript_is_told_from_a_pickle():
    saved = torch_file(b"c__torch__\nNet\n.", "weights/constants.pkl", "weights/code/net.py")
    scan = pickles.scan([text_entry("net.pt", saved)])
    assert (scan.torchscript, scan.findings) == (("net.pt",), ())


def test_a_zip_that_python_cannot_read_is_a_finding():
    [finding] = pickles.scan([text_entry("w.pt", b"PK\x03\x04rubbish")]).findings
    assert (finding.file, finding.name) == ("w.pt", "")


def test_a_finding_is_accepted_with_a_reason_until_its_day(tmp_path):
    path = mar(tmp_path / "m.mar", {MANIFEST: FILES[MANIFEST], "a.pkl": pickle.dumps(Evil())})
    accepted = {"file": "*.pkl", "name": "*eval", "reason": "ours", "expires": "2027-01-31"}
    text = {"name": "minilm", "version": "1", "description": "x", "pickles": [accepted]}
    text["artifact"] = {"adopted": {"archive": "m.mar"}}
    model = Model.model_validate_json(json.dumps(text))
    before, after = date(2027, 1, 31), date(2027, 2, 1)
    assert at(audit(path, IMAGE, model, before).errors, "eval") == []
    assert at(audit(path, IMAGE, model, after).errors, "a way to run any code") == ["a.pkl"]


def test_no_archive_with_such_a_finding_is_locked(tmp_path):
    path = mar(tmp_path / "m.mar", {MANIFEST: FILES[MANIFEST], "a.pkl": pickle.dumps(Evil())})
    about = {"name": "minilm", "version": "1", "description": "x"}
    model = Model.model_validate(about | {"artifact": {"adopted": {"archive": "m.mar"}}})
    locked = LockedModel(version="1", mar=path.name, sha256="0" * 64, size=path.stat().st_size)
    catalog, lock = Catalog(models={"minilm": model}), Lock(models={"minilm": locked})
    with pytest.raises(InputError, match=r"m.mar: a.pkl: loading it imports .*\n  → `harness"):
        refuse_pickles(tmp_path, catalog, lock)


def test_a_damaged_archive_is_refused(tmp_path):
    path = mar(tmp_path / "m.mar", FILES)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="truncated or corrupt"):
        audit(path, IMAGE)


def test_the_command_ends_with_1_on_an_error_and_prints_json(tmp_path, capsys, checkout):
    path = mar(tmp_path / "m.mar", FILES)
    assert cli.main(["models", "audit", str(path)]) == 1
    out = capsys.readouterr().out
    assert "✗ handler.py:6: import sentence_transformers" in out
    assert '"pt2": {"compile": {"enable": true}}\n' in out
    assert cli.main(["models", "audit", str(path), "--json"]) == 1
    [printed] = json.loads(capsys.readouterr().out)
    assert printed["handler"] == "handler.py"
    assert "handler.py:6" in [each["at"] for each in printed["errors"]]
    assert cli.main(["models", "audit", "no-such"]) == 2


def test_a_model_of_an_image_set_is_compared_with_that_sets_packages(checkout, tmp_path):
    image = tmp_path / "apps/torchserve/image"
    of_set = tmp_path / "apps/torchserve/sets/text"
    for folder in (image, of_set):
        folder.mkdir(parents=True)
    (image / "requirements.txt").write_text("numpy==2.4.6\n")
    (of_set / "requirements.in").write_text("-r ../../../../models/toy/requirements.in\n")
    (of_set / "requirements.txt").write_text("transformers==4.40.0\n")
    repository = Repository(tmp_path)
    [text] = image_sets.of_model(tmp_path, "toy")
    assert packages_of(repository, text) == {"transformers": "4.40.0"}
    [default] = image_sets.of_model(tmp_path, "other")
    assert packages_of(repository, default) == packages_of(repository) == {"numpy": "2.4.6"}


def test_a_marker_is_read_by_the_python_of_the_image(tmp_path):
    files = {**FILES, "requirements.txt": b"ftfy>=6; python_version < '3.12'\n"}
    path = mar(tmp_path / "m.mar", files)

    def is_missing(python):
        return "ftfy>=6" in str(audit(path, IMAGE, python=python).errors)

    assert (is_missing("3.10"), is_missing("3.13")) == (True, False)
