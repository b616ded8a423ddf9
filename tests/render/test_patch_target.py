"""Which objects a patch's target is for."""

import pytest

from harness.core.values import Value
from harness.render import patch_target

DEPLOYMENT: Value = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web"}},
}


@pytest.mark.parametrize(
    ("target", "fits"),
    [
        ({"kind": "Deployment"}, True),
        ({"kind": "Deployment", "name": "we"}, False),
        ({"group": "apps", "version": "v1", "name": "w.*"}, True),
        ({"version": "v2"}, False),
        ({"labelSelector": "app=web"}, True),
        ({"labelSelector": "app=api"}, False),
        ({"name": r"\pL+"}, True),  # Go's syntax alone: nobody can tell here
    ],
)
def test_a_target_is_anchored_and_reads_labels(target: Value, fits: bool) -> None:
    assert patch_target.fits(target, DEPLOYMENT) is fits
