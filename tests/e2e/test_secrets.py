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
from tests.e2e.scenario import NAME, ROOT, STORAGE, Scenario

KEY, SECRET = "sops-age", "pull-credential"
DECRYPTION = "        decryption:\n          provider: sops\n"
OPENED = f"{DECRYPTION}          secretRef:\n            name: {KEY}\n"


@pytest.fixture
def key(scenario: Scenario, checkout: Repository) -> Iterator[str]:
    """The age key, in the cluster for as long as the scenario runs; its name there."""
    private = (checkout.root / "tests/testdata/sops/age.agekey").read_text()
    metadata = {"name": KEY, "namespace": kinds.FLUX_NAMESPACE}
    scenario.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"age.agekey": private},
        }
    )
    yield KEY
    scenario.api.delete(kinds.SECRET, KEY, kinds.FLUX_NAMESPACE)


def _encrypted_changes(
    scenario: Scenario, checkout: Repository, *, decryption: str
) -> dict[str, str | None]:
    """The encrypted Secret beside the volume, and how every Kustomization decrypts."""
    listed = yaml.safe_load(scenario.bare.read(STORAGE))
    listed["resources"].append("secret.yaml")
    return {
        "infra/storage/secret.yaml": (
            checkout.root / "tests/testdata/sops/secret.yaml"
        ).read_text(),
        STORAGE: yaml.safe_dump(listed),
    } | scenario.replacement(ROOT, DECRYPTION, decryption)


def test_encrypted_secret_arrives_decrypted(
    scenario: Scenario, checkout: Repository, key: str
) -> None:
    scenario.sync(_encrypted_changes(scenario, checkout, decryption=OPENED))
    secret = scenario.one(kinds.SECRET, SECRET, NAME)
    assert secret["data"] == {"token": base64.b64encode(b"not-a-real-one").decode()}
    assert "sops" not in secret


def test_secret_without_its_key_stops_its_kustomization_and_nothing_else(
    scenario: Scenario, checkout: Repository
) -> None:
    scenario.commit(
        scenario.note("beside") | _encrypted_changes(scenario, checkout, decryption=DECRYPTION)
    )
    scenario.failing(kinds.KUSTOMIZATION, "storage", why="cannot get sops data key")
    assert scenario.api.get(kinds.SECRET, SECRET, NAME) is None
    assert scenario.serving(), "what ran goes on"


def test_secret_that_nothing_decrypts_arrives_as_it_lies_in_git(
    scenario: Scenario, checkout: Repository
) -> None:
    """Which is why `harness check` finds it: Flux says nothing, and its user gets a wrong token."""
    scenario.sync(_encrypted_changes(scenario, checkout, decryption=""))
    secret = scenario.one(kinds.SECRET, SECRET, NAME)
    assert base64.b64decode(text(secret, "data", "token")).startswith(b"ENC[AES256_GCM,")


def test_secret_in_base64_that_nothing_decrypts_stops_its_kustomization(
    scenario: Scenario, checkout: Repository
) -> None:
    changes = _encrypted_changes(scenario, checkout, decryption="")
    file = "infra/storage/secret.yaml"
    scenario.commit(changes | {file: str(changes[file]).replace("stringData:", "data:", 1)})
    scenario.failing(kinds.KUSTOMIZATION, "storage", why="pull-credential")
    assert scenario.api.get(kinds.SECRET, SECRET, NAME) is None
