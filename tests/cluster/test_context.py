"""The context of a cluster is found by the cluster's address, whichever one is current."""

import os
from pathlib import Path

import pytest
import yaml

from harness.cluster import api
from harness.core.errors import InputError


def kubeconfig(path: Path, **servers: str) -> Path:
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
        kubeconfig(tmp_path / "a", one="https://1.example", two="https://2.example"),
        tmp_path / "missing",
        kubeconfig(tmp_path / "b", three="https://3.example"),
    ]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    assert api.context_of("https://2.example") == "me@two"
    assert api.context_of("https://3.example") == "me@three"
    assert api.context_of("https://4.example") is None


def test_without_any_file_there_is_no_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    assert api.context_of("https://1.example") is None


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("clusters: [")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(InputError, match=r"config:.*not YAML"):
        api.context_of("https://1.example")
