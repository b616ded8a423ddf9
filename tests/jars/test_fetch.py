"""What a lock names is there whole or not at all; the program runs as the image's build runs it."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import harness.jars
from tests.jars.mirror import Mirror, serving

BUFFER, EPOLL = "io.netty:netty-buffer:4.1.0", "io.netty:netty-epoll:4.1.0:linux-x86_64"
FILES = {BUFFER: b"the buffer" * 1000, EPOLL: b"the native one" * 1000}


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving() as mirror:
        for coordinates, content in FILES.items():
            mirror.add(coordinates, content)
        yield mirror


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return write_lock(tmp_path / "jars.lock", FILES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "share" / "jars"


def write_lock(path: Path, files: dict[str, bytes]) -> Path:
    lines = [f"{name} sha256:{hashlib.sha256(text).hexdigest()}" for name, text in files.items()]
    path.write_text("\n".join(["# Netty", *lines, ""]))
    return path


def start(tmp_path: Path, *words: object, **env: str) -> "subprocess.Popen[str]":
    """The folder alone, by its own name, with an empty home."""
    package, home = tmp_path / "build" / "jars", tmp_path / "home"
    if not package.exists():
        shutil.copytree(Path(harness.jars.__file__).parent, package)
        home.mkdir()
    places = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package.parent),
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "jars", *map(str, words)],
        cwd="/",
        env={**places, "NO_PROXY": "", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(tmp_path: Path, *words: object, **env: str) -> tuple[int, str]:
    process = start(tmp_path, *words, **env)
    output = process.communicate(timeout=90)[0]
    return process.returncode, output


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.glob("*")} if folder.exists() else {}


WHOLE = {
    "netty-buffer-4.1.0.jar": FILES[BUFFER],
    "netty-epoll-4.1.0-linux-x86_64.jar": FILES[EPOLL],
}


def test_the_files_are_fetched_once(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    assert (code, contents(folder)) == (0, WHOLE), output
    requests_before = len(mirror.requests)
    assert run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address) == (0, "")
    assert len(mirror.requests) == requests_before
    assert list((tmp_path / "home").iterdir()) == []
    assert sorted(path.name for path in folder.parent.iterdir()) == [".jars.lock", "jars"]


def test_a_moved_version_replaces_its_file_and_fetches_no_other(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    mirror.requests.clear()
    moved = {"io.netty:netty-buffer:4.1.1": b"newer", EPOLL: FILES[EPOLL]}
    mirror.add("io.netty:netty-buffer:4.1.1", b"newer")
    write_lock(lock, moved)

    assert run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)[0] == 0

    assert set(contents(folder)) == {"netty-buffer-4.1.1.jar", "netty-epoll-4.1.0-linux-x86_64.jar"}
    assert {path.rpartition("/")[2] for path, _ in mirror.requests} <= {
        "netty-buffer-4.1.1.jar",
        "netty-buffer-4.1.1.jar.sha1",
    }


def test_a_file_that_is_not_the_locked_one_is_refused(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    mirror.add(EPOLL, b"another")
    code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    assert (code, contents(folder)) == (1, {})
    digest = hashlib.sha256(b"another").hexdigest()
    assert f"{lock}:3: {EPOLL} is not the file that was locked: its SHA-256 is {digest}" in output
    assert "Traceback" not in output


def test_a_file_that_was_changed_on_disk_is_fetched_again(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    (folder / "netty-buffer-4.1.0.jar").write_bytes(b"half")
    assert run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)[0] == 0
    assert contents(folder) == WHOLE


@pytest.mark.parametrize("fault", ["cut short", "missing"])
def test_one_file_that_cannot_be_had_leaves_everything_as_it_was(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror, fault: str
) -> None:
    folder.mkdir(parents=True)
    (folder / "older.jar").write_bytes(b"older")
    path = mirror.add(EPOLL, FILES[EPOLL])
    if fault == "missing":
        del mirror.files[path]
    else:
        mirror.cut_short.add(path)
    code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    assert (code, contents(folder)) == (3, {"older.jar": b"older"})
    assert f"{EPOLL} could not be fetched: " in output
    assert "MAVEN_MIRROR names another Maven repository" in output
    assert "Traceback" not in output


def test_a_fetch_that_is_killed_in_the_middle_counts_for_nothing(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    mirror.hold.clear()
    process = start(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    deadline = time.monotonic() + 60
    while not mirror.requests:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not folder.exists()
    mirror.hold.set()
    assert run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)[0] == 0
    assert contents(folder) == WHOLE


def test_credentials_of_the_mirror_are_used_and_not_printed(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    mirror.files.clear()
    address = mirror.address.replace("//", "//user:s3cret@")
    code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=address)
    assert code == 3
    assert "s3cret" not in output
    assert mirror.requests[0][1] == "Basic dXNlcjpzM2NyZXQ="


def test_a_mirror_that_is_no_address_is_refused(tmp_path: Path, lock: Path, folder: Path) -> None:
    code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR="user:s3cret@example")
    assert (code, output.count("\n")) == (1, 1)
    assert "MAVEN_MIRROR is not the https:// address" in output
    assert "s3cret" not in output


def test_a_proxy_is_used(tmp_path: Path, lock: Path, folder: Path, mirror: Mirror) -> None:
    proxy = mirror.address.removesuffix("/maven2")
    env = {"MAVEN_MIRROR": "http://repository.invalid/maven2", "HTTP_PROXY": proxy}
    assert run(tmp_path, "fetch", lock, folder, **env)[0] == 0
    assert mirror.requests[0][0].startswith("http://repository.invalid/maven2/io/netty/")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_are_believed_that_a_variable_names(
    tmp_path: Path, lock: Path, folder: Path, variable: str
) -> None:
    certificate = write_certificate(tmp_path / "mirror.pem")
    with serving(certificate) as mirror:
        for coordinates, content in FILES.items():
            mirror.add(coordinates, content)
        code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
        assert (code, "CERTIFICATE_VERIFY_FAILED" in output) == (3, True)
        env = {"MAVEN_MIRROR": mirror.address, variable: str(certificate)}
        assert run(tmp_path, "fetch", lock, folder, **env) == (
            0,
            f"jars: the Java libraries of {lock} are in {folder}\n",
        )


def test_the_hash_follows_a_moved_version_and_no_other_line_changes(
    tmp_path: Path, lock: Path, folder: Path, mirror: Mirror
) -> None:
    whole = lock.read_text()
    lines = whole.splitlines(keepends=True)
    lock.write_text(f"{lines[0]}{BUFFER}\n{lines[2]}")
    code, output = run(tmp_path, "fetch", lock, folder, MAVEN_MIRROR=mirror.address)
    assert (code, contents(folder)) == (1, {})
    assert f"{lock}:2: {BUFFER} has no hash; `make jars` writes it" in output

    assert run(tmp_path, "lock", lock, MAVEN_MIRROR=mirror.address)[0] == 0

    assert lock.read_text() == whole
    assert {path.rpartition("/")[2] for path, _ in mirror.requests} <= {
        "netty-buffer-4.1.0.jar",
        "netty-buffer-4.1.0.jar.sha1",
    }


def test_a_hash_that_is_there_is_never_written_anew(
    tmp_path: Path, lock: Path, mirror: Mirror
) -> None:
    before = lock.read_text()
    mirror.add(BUFFER, b"another")
    assert run(tmp_path, "lock", lock, MAVEN_MIRROR=mirror.address)[0] == 0
    assert (lock.read_text(), mirror.requests) == (before, [])


def write_certificate(path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody vouches for, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mirror")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password)
    path.write_bytes(private + certificate.public_bytes(encoding))
    return path
