"""An image's files, a made database, Trivy's own detectors: what stops, and what was decided."""

import importlib.util
import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from harness import cli, tools
from harness.audit import verdict
from harness.core.repository import Repository
from harness.jars import lock
from harness.launcher import libraries

_DPKG = """\
Package: libssl3t64
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.5.1-1

Package: zlib1g
Status: install ok installed
Architecture: amd64
Source: zlib
Version: 1:1.3.1-1

"""
_LOCK = "apps/torchserve/image/jars.lock"


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory, checkout: Repository) -> Path:
    folder = tmp_path_factory.mktemp("database")
    fixtures = Path(__file__).with_name("database.yaml")
    program = tools.find(checkout, "trivy-match")
    subprocess.run([program, "load", folder, fixtures], check=True, timeout=60)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Debian 13 with a Python package, and TorchServe's JAR as it is published."""
    files = {
        "etc/os-release": 'ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n',
        "var/lib/dpkg/status": _DPKG,
        "home/venv/lib/python3.13/site-packages/requests-2.30.0.dist-info/METADATA": (
            "Metadata-Version: 2.1\nName: requests\nVersion: 2.30.0\n\n"
        ),
    }
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    spec = importlib.util.find_spec("ts")
    assert spec and spec.origin
    frontend = tmp_path / "root/home/venv/lib/python3.13/site-packages/ts/frontend"
    frontend.mkdir(parents=True)
    (frontend / "model-server.jar").symlink_to(
        Path(spec.origin).parent / frontend.name / "model-server.jar"
    )
    return tmp_path / "root"


@pytest.fixture
def workplace(tmp_path: Path, checkout: Repository, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with no verdict yet."""
    for name in ("models", "clusters", "build", "apps/torchserve/image"):
        (tmp_path / "checkout" / name).mkdir(parents=True)
    shutil.copy(checkout.root / _LOCK, tmp_path / "checkout" / _LOCK)
    (tmp_path / "checkout/tools").symlink_to(checkout.root / "tools")
    (tmp_path / "checkout/build/tools").symlink_to(checkout.build / "tools")
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"


def _verdict(workplace: Path, text: str) -> None:
    path = workplace / "apps/torchserve/image/verdicts.yaml"
    path.write_text("verdicts:\n" + textwrap.indent(textwrap.dedent(text), "  "))


def _audit(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, dict[str, list]]:
    code = cli.main(["audit", "--json", *map(str, args)])
    return code, json.loads(capsys.readouterr().out)


def _ids(vulnerabilities: list[dict[str, str]]) -> set[str]:
    return {each["id"] for each in vulnerabilities}


def test_the_stock_jar_shows_its_holes(
    workplace: Path, root: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = _audit(capsys, "--root", root, "--db", database)
    assert code == 1
    holes = {(each["id"], each["package"]) for each in answer["open"]}
    netty = "pkg:maven/io.netty"
    assert holes == {
        ("CVE-2099-0001", f"{netty}/netty-codec-http@4.1.53.Final"),
        ("CVE-2099-0002", f"{netty}/netty-codec-http2@4.1.53.Final"),
        # In gRPC's own copy, under another name.
        ("CVE-2099-0002", f"{netty}/netty-codec-http2@4.1.79.Final"),
        ("CVE-2099-0003", "pkg:maven/org.codehaus.groovy/groovy@3.0.9"),
        next(each for each in holes if each[0] == "CVE-2099-0006"),  # Debian's source is openssl
    }
    assert _ids(answer["unfixed"]) == {"CVE-2099-0007"}
    assert _ids(answer["minor"]) == {"CVE-2099-0005"}
    assert answer["unidentified"] == []


def test_a_person_reads_what_is_open_where_and_what_mends_it(
    workplace: Path, root: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", "--root", str(root), "--db", str(database)]) == 1
    text = capsys.readouterr().out
    jar = "home/venv/lib/python3.13/site-packages/ts/frontend/model-server.jar"
    hole = "CVE-2099-0001 HIGH pkg:maven/io.netty/netty-codec-http@4.1.53.Final"
    assert f"✗ {hole} in {jar}, fixed in 4.1.60.Final\n" in text
    assert "- no fixed version yet: CVE-2099-0007 HIGH pkg:deb/debian/libssl3t64" in text
    assert text.splitlines()[-1].startswith("5 open · 0 decided · 0 in classes that nothing loads")


@pytest.fixture
def newer(root: Path, checkout: Repository) -> Path:
    """The pinned JARs in their place below the root."""
    folder = root / "home/venv/share/torchserve/jars"
    folder.mkdir(parents=True)
    for jar in lock.read(checkout.root / _LOCK):
        installed = libraries.FOLDER / jar.file
        if not installed.exists():
            pytest.skip(f"{installed} not found: setup reached no Maven repository")
        (folder / jar.file).symlink_to(installed)
    return folder


def test_a_newer_version_before_it_is_what_makes_a_verdict_of_shadowing_hold(
    workplace: Path, root: Path, newer: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, answer = _audit(capsys, "--root", root, "--db", database)
    # 7 classes of the old one are in no newer JAR: that nothing loads them is for a person to say.
    assert "CVE-2099-0001" in _ids(answer["open"])
    _verdict(
        workplace,
        """\
        - vulnerability: "*"
          package: pkg:maven/io.netty/*
          verdict: shadowed
          reason: the running JVM loads no class of it from TorchServe's JAR
          expires: 2999-01-01
        """,
    )
    _, answer = _audit(capsys, "--root", root, "--db", database)
    assert "CVE-2099-0001" in _ids(answer["decided"])
    # HTTP/2 in Netty's own name is in no pinned JAR: nothing comes before it, whatever is claimed.
    assert {each["package"] for each in answer["open"] if each["id"] == "CVE-2099-0002"} == {
        "pkg:maven/io.netty/netty-codec-http2@4.1.53.Final"
    }


def test_with_this_repositorys_verdicts_the_image_has_no_open_hole_in_java(
    workplace: Path,
    root: Path,
    newer: Path,
    database: Path,
    checkout: Repository,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(checkout.root / verdict.FILE, workplace / verdict.FILE)
    _, answer = _audit(capsys, "--root", root, "--db", database)
    assert _ids(answer["open"]) == {"CVE-2099-0006"}  # Debian's
    assert answer["unused"] == answer["unidentified"] == []


def test_without_the_pinned_jars_its_verdicts_hide_no_library_that_the_server_uses(
    workplace: Path,
    root: Path,
    database: Path,
    checkout: Repository,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(checkout.root / verdict.FILE, workplace / verdict.FILE)
    _, answer = _audit(capsys, "--root", root, "--db", database)
    assert {"CVE-2099-0001", "CVE-2099-0002"} <= _ids(answer["open"])


@pytest.mark.parametrize(
    ("expires", "field"), [("2020-01-01", "expired"), ("2999-01-01", "unused")]
)
def test_a_verdict_that_has_expired_or_that_nothing_needs_is_a_finding(
    workplace: Path,
    root: Path,
    database: Path,
    capsys: pytest.CaptureFixture[str],
    expires: str,
    field: str,
) -> None:
    _verdict(
        workplace,
        f"""\
        - vulnerability: CVE-2099-9999
          package: pkg:deb/debian/*
          verdict: accepted
          reason: it is made up, and so is this
          expires: {expires}
        """,
    )
    severity = ("--severity", "CRITICAL")
    code, answer = _audit(capsys, "--root", root / "etc/..", "--db", database, *severity)
    assert code == 1
    assert [each["at"].endswith("verdicts.yaml:2") for each in answer[field]] == [True]


def test_a_sets_image_has_verdicts_of_its_own_and_need_not_use_the_shared_ones(
    workplace: Path, root: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workplace / "apps/torchserve/sets/text"
    folder.mkdir(parents=True)
    (folder / "requirements.in").write_text("numpy<2\n")
    decided = """\
        - vulnerability: CVE-2099-9999
          package: pkg:deb/debian/*
          verdict: accepted
          reason: it is made up, and so is this
          expires: 2999-01-01
        """
    _verdict(workplace, decided)
    argv = ("--set", "text", "--root", root / "etc/..", "--db", database, "--severity", "CRITICAL")
    assert _audit(capsys, *argv)[1]["unused"] == []
    assert (workplace / "build/audit/text/sbom.cdx.json").is_file()
    (folder / "verdicts.yaml").write_text((workplace / verdict.FILE).read_text())
    code, answer = _audit(capsys, *argv)
    assert code == 1
    [unused] = answer["unused"]
    assert unused["at"].endswith("sets/text/verdicts.yaml:2")


def test_what_trivy_cataloged_is_taken_and_the_jars_are_added(
    workplace: Path, root: Path, database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sbom = workplace / "trivy.json"
    component = {
        "type": "library",
        "bom-ref": "r",
        "name": "requests",
        "version": "2.30.0",
        "purl": "pkg:pypi/requests@2.30.0",
    }
    sbom.write_text(
        json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [component]})
    )
    _, answer = _audit(capsys, "--root", root, "--db", database, "--sbom", sbom)
    assert _ids(answer["minor"]) == {"CVE-2099-0005"}
    assert {"CVE-2099-0001", "CVE-2099-0003"} <= _ids(answer["open"])
    assert "CVE-2099-0006" not in _ids(answer["open"])


@pytest.mark.parametrize(
    "text", [None, "{", "{}", "\udcff"], ids=["none", "half", "empty", "bytes"]
)
def test_what_is_no_bill_of_materials_is_refused(
    workplace: Path, root: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    sbom = workplace / "trivy.json"
    if text is not None:
        sbom.write_text(text, errors="surrogateescape")
    code, answer = _audit(capsys, "--root", root / "etc", "--sbom", sbom)
    assert code == 1
    assert "trivy.json" in str(answer["at"])


def test_without_a_database_nothing_is_judged_and_the_bill_is_there(
    workplace: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = _audit(capsys, "--root", root, "--db", tmp_path)
    assert (code, answer["exit"]) == (3, 3)
    assert "--db" in str(answer["hint"])
    assert (workplace / "build/audit/sbom.cdx.json").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("reason: short", "reason"),
        ("reason: long enough to be one\n  vulnerability: '*'", "not \\*"),
    ],
)
def test_a_verdict_that_explains_nothing_is_refused(
    workplace: Path,
    root: Path,
    database: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    complaint: str,
) -> None:
    vulnerability = "" if "vulnerability" in text else "  vulnerability: CVE-1\n"
    (workplace / "apps/torchserve/image/verdicts.yaml").write_text(
        f"verdicts:\n- package: pkg:deb/a\n  verdict: accepted\n{vulnerability}"
        f"  expires: 2999-01-01\n  {text}\n"
    )
    code, answer = _audit(capsys, "--root", root, "--db", database)
    assert code == 1
    assert "verdicts.yaml:" in str(answer["error"])
    assert re.search(complaint, str(answer["error"]))
