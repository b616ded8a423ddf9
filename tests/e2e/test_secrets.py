"""What SOPS encrypted arrives decrypted; what cannot be decrypted arrives not at all.

The key is an age key in a Secret of the cluster. KMS, which the clusters in AWS use, cannot be had
here: the controller asks it for the same data key, by its own identity instead of a Secret.
"""

import base64
from collections.abc import Iterator

import pytest
import yaml

from harness.core.repository import Repository
from harness.core.values import text
from harness.kubernetes import kinds
from tests.e2e.lab import NAME, ROOT, STORAGE, Lab

KEY, SECRET = "sops-age", "pull-credential"
DECRYPTION = "        decryption:\n          provider: sops\n"
OPENED = f"{DECRYPTION}          secretRef:\n            name: {KEY}\n"


@pytest.fixture
def key(lab: Lab, checkout: Repository) -> Iterator[str]:
    """The age key, in the cluster for as long as the scenario runs; its name there."""
    private = (checkout.root / "tests/testdata/sops/age.agekey").read_text()
    metadata = {"name": KEY, "namespace": kinds.FLUX_NAMESPACE}
    lab.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"age.agekey": private},
        }
    )
    yield KEY
    lab.api.delete(kinds.SECRET, KEY, kinds.FLUX_NAMESPACE)


def _encrypted(lab: Lab, checkout: Repository, *, decryption: str) -> dict[str, str | None]:
    """The encrypted Secret beside the volume, and how every Kustomization decrypts."""
    listed = yaml.safe_load(lab.bare.read(STORAGE))
    listed["resources"].append("secret.yaml")
    return {
        "infra/storage/secret.yaml": (
            checkout.root / "tests/testdata/sops/secret.yaml"
        ).read_text(),
        STORAGE: yaml.safe_dump(listed),
    } | lab.replaced(ROOT, DECRYPTION, decryption)


def test_encrypted_secret_arrives_decrypted(lab: Lab, checkout: Repository, key: str) -> None:
    lab.sync(_encrypted(lab, checkout, decryption=OPENED))
    found = lab.one(kinds.SECRET, SECRET, NAME)
    assert found["data"] == {"token": base64.b64encode(b"not-a-real-one").decode()}
    assert "sops" not in found


def test_secret_without_its_key_stops_its_kustomization_and_nothing_else(
    lab: Lab, checkout: Repository
) -> None:
    lab.commit(lab.note("beside") | _encrypted(lab, checkout, decryption=DECRYPTION))
    lab.failing(kinds.KUSTOMIZATION, "storage", why="cannot get sops data key")
    assert lab.api.get(kinds.SECRET, SECRET, NAME) is None
    assert lab.serving(), "what ran goes on"


def test_secret_that_nothing_decrypts_arrives_as_it_lies_in_git(
    lab: Lab, checkout: Repository
) -> None:
    """Which is why `harness check` finds it: Flux says nothing, and its user gets a wrong token."""
    lab.sync(_encrypted(lab, checkout, decryption=""))
    found = lab.one(kinds.SECRET, SECRET, NAME)
    assert base64.b64decode(text(found, "data", "token")).startswith(b"ENC[AES256_GCM,")


def test_secret_in_base64_that_nothing_decrypts_stops_its_kustomization(
    lab: Lab, checkout: Repository
) -> None:
    changes = _encrypted(lab, checkout, decryption="")
    file = "infra/storage/secret.yaml"
    lab.commit(changes | {file: str(changes[file]).replace("stringData:", "data:", 1)})
    lab.failing(kinds.KUSTOMIZATION, "storage", why="pull-credential")
    assert lab.api.get(kinds.SECRET, SECRET, NAME) is None
