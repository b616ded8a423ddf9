"""What SOPS encrypted arrives decrypted; what cannot be decrypted arrives not at all.

The key is an age key in a Secret of the cluster. KMS, which the clusters in AWS use, cannot be had
here: the controller asks it for the same data key, by its own identity instead of a Secret.
"""

import base64
from collections.abc import Iterator

import pytest
import yaml

from harness.cluster import flux, kinds
from harness.core.repository import Repository
from tests.e2e.lab import INFRA, NAME, STORAGE, Lab

KEY, SECRET = "sops-age", "pull-credential"
DECRYPTION = "  decryption:\n    provider: sops\n"
OPENED = f"{DECRYPTION}    secretRef:\n      name: {KEY}\n"


@pytest.fixture
def key(lab: Lab, checkout: Repository) -> Iterator[str]:
    """The age key, in the cluster for as long as the scenario runs; its name there."""
    text = (checkout.root / "tests/testdata/sops/age.agekey").read_text()
    metadata = {"name": KEY, "namespace": flux.NAMESPACE}
    lab.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"age.agekey": text},
        }
    )
    yield KEY
    lab.api.delete(kinds.SECRET, KEY, flux.NAMESPACE)


def _encrypted(lab: Lab, checkout: Repository, *, decryption: str) -> dict[str, str | None]:
    """The encrypted Secret beside the volume, and how the Kustomization there decrypts."""
    listed = yaml.safe_load(lab.bare.read(STORAGE))
    listed["resources"].append("secret.yaml")
    before, storage = lab.bare.read(INFRA).split("  name: storage\n")
    return {
        "infra/storage/secret.yaml": (
            checkout.root / "tests/testdata/sops/secret.yaml"
        ).read_text(),
        STORAGE: yaml.safe_dump(listed),
        INFRA: before + "  name: storage\n" + storage.replace(DECRYPTION, decryption),
    }


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


def test_secret_under_a_kustomization_that_does_not_decrypt_is_refused(
    lab: Lab, checkout: Repository
) -> None:
    lab.commit(_encrypted(lab, checkout, decryption=""))
    lab.failing(kinds.KUSTOMIZATION, "storage", why="configuring decryption is required")
    assert lab.api.get(kinds.SECRET, SECRET, NAME) is None
