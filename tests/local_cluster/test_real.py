"""Real nodes: what they say is missing, their network, their images."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.core.repository import Repository
from harness.local_cluster.real import control_groups, ground, sandbox
from harness.local_cluster.real.layout import Descriptor, Layout
from harness.local_cluster.real.network import NodeNetwork, commands

root = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces take root")


@root
def test_missing_packages_are_named_with_what_gets_them(
    checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="iproute2, ipset, iptables") as refused:
        ground.require(checkout)
    assert refused.value.hint.startswith("apt-get install buildah debootstrap dnsmasq-base gcc")


@pytest.mark.skipif(os.geteuid() == 0, reason="root has what is asked for")
def test_root_is_asked_for_first(checkout: Repository) -> None:
    with pytest.raises(UsageError, match="need root") as refused:
        ground.require(checkout)
    assert "without REAL=1" in refused.value.hint


def test_nodes_have_ranges_of_their_own() -> None:
    first, second = NodeNetwork(0), NodeNetwork(1)
    assert (first.address, first.pods) == ("172.31.0.10", "10.244.0.0/24")
    assert (second.address, second.pods) == ("172.31.0.11", "10.244.1.0/24")
    lines = [*commands([first, second])]
    assert f"ip -n node-0 route add {second.pods} via {second.address}" in lines
    assert f"ip -n node-1 route add {first.pods} via {first.address}" in lines


@root
def test_sandbox_joins_its_nodes_and_ends_with_its_command() -> None:
    before = _links()
    reach = "ip netns exec node-1 ip route get 10.244.0.7; ip -br link show nodes; ls /run"
    output = subprocess.run(
        sandbox.argv(2, ["/bin/sh", "-ec", reach]),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert "10.244.0.7 via 172.31.0.10" in output
    assert {"machine", "netns"} <= {*output.splitlines()}
    assert _links() == before


def _links() -> str:
    argv = ["ip", "-o", "-br", "link"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout


@root
def test_control_groups_go_with_their_last_process(tmp_path: Path) -> None:
    control_groups.make(tmp_path, "node-0")
    name = control_groups.name_of(tmp_path, "node-0")
    groups = [*Path("/sys/fs/cgroup").glob(f"*/{name}")] or [Path("/sys/fs/cgroup") / name]
    assert all(each.is_dir() for each in groups)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        (groups[0] / "cgroup.procs").write_text(str(process.pid))
        process.communicate(b"\n", timeout=20)
    control_groups.remove(tmp_path)
    assert not any(each.exists() for each in groups)


def _one_image(folder: Path) -> Descriptor:
    """A layout with one image, whose manifest is returned."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def keep(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    settings = {"config": {"Entrypoint": ["python"]}, "rootfs": {"diff_ids": ["a"]}, "history": []}
    parent = keep(
        json.dumps({"config": keep(json.dumps(settings).encode()), "layers": []}).encode()
    )
    named = {**parent, "annotations": {"org.opencontainers.image.ref.name": "old:1"}}
    (folder / "index.json").write_text(json.dumps({"manifests": [named]}))
    return named


def test_layout_that_was_cut_short_has_no_image(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    assert Layout(tmp_path).find("localhost/serving:1") is None


def test_image_with_another_label_has_another_digest_and_the_same_files(tmp_path: Path) -> None:
    parent = _one_image(tmp_path)
    images = Layout(tmp_path)
    digest = images.relabel("new", parent, {"a": "b"})
    manifest = images.find(f"new@{digest}")
    assert manifest is not None
    assert manifest["digest"] == digest != parent["digest"]
    blobs = tmp_path / "blobs" / "sha256"
    content = json.loads((blobs / digest[7:]).read_text())
    settings = json.loads((blobs / content["config"]["digest"][7:]).read_text())
    assert settings["config"] == {"Entrypoint": ["python"], "Labels": {"a": "b"}}
    assert settings["rootfs"]["diff_ids"] == ["a"]


def test_derived_image_has_the_other_one_s_layers_and_one_program(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs" / "sha256"
    named = _one_image(tmp_path)
    program = tmp_path / "program"
    program.write_bytes(b"a program")

    images = Layout(tmp_path)
    images.derive("new:1", named, ["/usr/local/bin/x"], user="1", programs={"x": program})
    images.keep(["new:1"])
    images.write()

    again = Layout(tmp_path)
    assert again.find("old:1") is None
    derived = again.find("new:1")
    assert derived is not None
    manifest = json.loads((blobs / str(derived["digest"])[7:]).read_text())
    [layer] = manifest["layers"]
    with tarfile.open(blobs / layer["digest"][7:]) as tar:
        [member] = tar.getmembers()
        assert (member.name, member.mode) == ("usr/local/bin/x", 0o755)
    new = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    assert new["config"] == {"Entrypoint": ["/usr/local/bin/x"], "User": "1"}
    assert new["rootfs"]["diff_ids"] == ["a", layer["digest"]]
