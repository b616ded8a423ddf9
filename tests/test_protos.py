"""The .proto files for clients are those of the server that is pinned."""

import importlib.util
import re
import zipfile
from pathlib import Path

import pytest

from harness.core.repository import Repository


@pytest.mark.parametrize("name", ["inference.proto", "open_inference_grpc.proto"])
def test_a_proto_file_is_the_servers_but_for_comments(checkout: Repository, name: str) -> None:
    package = importlib.util.find_spec("ts")
    assert package
    assert package.origin
    with zipfile.ZipFile(Path(package.origin).with_name("frontend") / "model-server.jar") as jar:
        servers = jar.read(f"proto/{name}").decode()
    ours = (checkout.root / "docs" / "proto" / name).read_text()
    assert _words(ours) == _words(servers)


def _words(text: str) -> list[str]:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL).split()
