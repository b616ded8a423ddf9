"""The root that FluxInstance's patches make of the operator's own, as the local cluster has it."""

import json
from pathlib import Path

import pytest
import yaml

from harness import tools
from harness.core import command
from harness.core.repository import Repository
from harness.local_cluster import flux

PATCHED = {"GitRepository": ("sparseCheckout",), "Kustomization": ("decryption",)}


@pytest.mark.parametrize("env", ["staging", "production"])
def test_the_root_is_patched_as_the_local_cluster_s_is(
    checkout: Repository, tmp_path: Path, env: str
) -> None:
    file = checkout.cluster(env) / "flux-system" / "fluxinstance.yaml"
    patches = yaml.safe_load(file.read_text())["spec"]["kustomize"]["patches"]
    expected = flux.root("https://git.example.com/x.git", env)
    plain = [
        {**each, "spec": {k: v for k, v in each["spec"].items() if k not in PATCHED[each["kind"]]}}
        for each in expected
    ]
    (tmp_path / "root.yaml").write_text(yaml.safe_dump_all(plain))
    (tmp_path / "kustomization.yaml").write_text(
        json.dumps({"resources": ["root.yaml"], "patches": patches})
    )
    built = command.run([tools.find(checkout, "kustomize"), "build", tmp_path], timeout=30).stdout
    patched = {each["kind"]: each["spec"] for each in yaml.safe_load_all(built)}
    for each in expected:
        for key in PATCHED[str(each["kind"])]:
            assert patched[each["kind"]][key] == each["spec"][key], key
