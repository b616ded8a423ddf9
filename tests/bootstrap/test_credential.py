"""The deploy key: made in memory, kept in the cluster; only its public half is ever shown."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from harness.aws import ANY, Aws
from harness.bootstrap import credential
from harness.bootstrap.installation import Installation
from harness.core.errors import HarnessError
from harness.kubernetes import api
from harness.settings import site
from tests.bootstrap.fixtures import REGION, SETTINGS, Fork
from tests.support.api_server import State, serving

SSH = "ssh://git@github.com/acme/torchserve.git"


@pytest.fixture
def installation(fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation whose Git server is known."""
    site.fill(fork.repository, "staging", SETTINGS | {"GIT_URL": SSH})
    monkeypatch.setenv("HOME", str(tmp_path))
    server = Ed25519PrivateKey.generate().public_key()
    line = server.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"github.com {line}\n")
    return Installation(fork.repository, "staging", Aws(REGION, ANY))


def test_the_private_half_goes_into_the_cluster_and_is_shown_nowhere(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = State()
    with serving(state, tmp_path / "kubeconfig"):
        installation.cluster = api.connect(tmp_path / "kubeconfig")
        credential.provide(installation, lambda _: None)
        inspection = credential.inspect(installation)
    data = state.one("Secret", credential.NAME)["data"]
    content = {key: base64.b64decode(value).decode() for key, value in data.items()}
    key = load_ssh_private_key(content["identity"].encode(), None)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert content["identity.pub"] == public
    captured = capsys.readouterr()
    shown = "\n".join([captured.out, captured.err, *inspection.lines])
    assert public in captured.err
    assert not [line for line in content["identity"].splitlines() if line in shown]
    written = [path for path in installation.repository.root.rglob("*") if path.is_file()]
    assert not [path for path in written if b"OPENSSH PRIVATE KEY" in path.read_bytes()]


def test_a_git_server_that_is_not_known_gets_no_key(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".ssh" / "known_hosts").write_text("")
    state = State()
    with serving(state, tmp_path / "kubeconfig"):
        installation.cluster = api.connect(tmp_path / "kubeconfig")
        with pytest.raises(HarnessError, match=r"has no key of github\.com"):
            credential.provide(installation, lambda _: None)
    assert state.objects == []
    assert "ssh-ed25519" not in capsys.readouterr().err
