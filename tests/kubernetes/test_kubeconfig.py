"""What KUBECONFIG names: by the cluster's address, whichever is current; by name, on its own."""

import os
from pathlib import Path

import pytest
import yaml

from harness.core.errors import HarnessError, InputError, UsageError
from harness.kubernetes import api, kubeconfig


def write_kubeconfig(path: Path, **servers: str) -> Path:
    value = {
        "clusters": [{"name": name, "cluster": {"server": at}} for name, at in servers.items()],
        "contexts": [{"name": f"me@{name}", "context": {"cluster": name}} for name in servers],
        "current-context": "another",
    }
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_context_is_found_by_its_server_in_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        write_kubeconfig(tmp_path / "a", one="https://1.example", two="https://2.example"),
        tmp_path / "missing",
        write_kubeconfig(tmp_path / "b", three="https://3.example"),
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    assert kubeconfig.context_of("https://2.example") == "me@two"
    assert kubeconfig.context_of("https://3.example") == "me@three"
    assert kubeconfig.context_of("https://4.example") is None


def test_without_any_file_there_is_no_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    assert kubeconfig.context_of("https://1.example") is None


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("clusters: [")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(InputError, match=r"config:.*not YAML"):
        kubeconfig.context_of("https://1.example")


def test_a_context_alone_can_lie_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(
        """
clusters:
- {name: c, cluster: {server: 'https://1.example', certificate-authority: pki/ca.crt}}
- {name: d, cluster: {server: 'https://2.example'}}
users:
- {name: u, user: {client-certificate: pki/u.crt, client-key: /keys/u.key}}
contexts:
- {name: one, context: {cluster: c, user: u}}
- {name: two, context: {cluster: d, user: somebody}}
current-context: two
"""
    )
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert yaml.safe_load(kubeconfig.extract_context("one")) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": "https://1.example",
                    "certificate-authority": str(tmp_path / "pki" / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": "u",
                "user": {
                    "client-certificate": str(tmp_path / "pki" / "u.crt"),
                    "client-key": "/keys/u.key",
                },
            }
        ],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "one",
    }
    with pytest.raises(UsageError, match="no 'three' under contexts") as caught:
        kubeconfig.extract_context("three")
    assert caught.value.hint == "it has: one, two"
    with pytest.raises(UsageError, match="no 'somebody' under users"):
        kubeconfig.extract_context("two")


@pytest.mark.parametrize(
    "text",
    ["", "- 1\n", "x: 1\n", "a: [", "current-context: c\ncontexts: [1]\n", "contexts: 5\n"],
)
def test_a_file_that_is_no_kubeconfig_is_an_error_with_a_hint(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    for context in (None, "c"):
        with pytest.raises(HarnessError, match="no cluster configured") as caught:
            api.connect(path, context)
        assert "set KUBECONFIG" in caught.value.hint
