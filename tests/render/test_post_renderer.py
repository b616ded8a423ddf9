"""What helm-controller changes after Helm, done by the real kustomize."""

from pathlib import Path

import pytest

from harness import tools
from harness.core.errors import InputError
from harness.core.repository import Repository
from harness.core.values import dig
from harness.render import post_renderer
from harness.render.helm import Made, PostRendering

LABEL = {
    "target": {"kind": "ConfigMap"},
    "patch": "- {op: add, path: /metadata/labels, value: {team: vision}}",
}


def _config_map(name: str, **annotations: str) -> Made:
    metadata = {"name": name, **({"annotations": annotations} if annotations else {})}
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}}
    return value, f"chart/templates/{name}.yaml"


MADE = [_config_map("plain"), _config_map("hook", **{"helm.sh/hook": "pre-install"})]


@pytest.fixture(scope="module")
def kustomize(checkout: Repository) -> Path:
    return tools.find(checkout, "kustomize")


@pytest.mark.parametrize(
    ("strategy", "changed"),
    [("combined", {"plain", "hook"}), ("separate", {"plain", "hook"}), ("nohooks", {"plain"})],
)
def test_the_strategy_says_whether_hooks_are_changed(
    kustomize: Path, strategy: str, changed: set[str]
) -> None:
    post = PostRendering(
        [{"kustomize": {"patches": [LABEL]}}], {"annotations": {"owner": "x"}}, strategy
    )
    objects = post_renderer.apply(kustomize, MADE, post)
    assert {path for _, path in objects} == {path for _, path in MADE}
    for key in (("labels", "team"), ("annotations", "owner")):
        having = {dig(each, "metadata", "name") for each, _ in objects if _has(each, *key)}
        assert having == changed


def _has(item: object, *path: str) -> bool:
    return dig(item, "metadata", *path) is not None


def test_one_renderer_follows_another_and_may_delete(kustomize: Path) -> None:
    delete = "{$patch: delete, apiVersion: v1, kind: ConfigMap, metadata: {name: plain}}"
    renderers = [
        {"kustomize": {"patches": [LABEL]}},
        {"kustomize": {"patches": [{"patch": delete}]}},
    ]
    [(left, path)] = post_renderer.apply(kustomize, MADE, PostRendering(renderers))
    assert dig(left, "metadata", "labels", "team") == "vision"
    assert path == "chart/templates/hook.yaml"


def test_a_patch_that_kustomize_refuses_is_an_error(kustomize: Path) -> None:
    bad = {"target": {"kind": "ConfigMap"}, "patch": "- {op: remove, path: /none}"}
    with pytest.raises(InputError, match=r"spec.postRenderers: "):
        post_renderer.apply(kustomize, MADE, PostRendering([{"kustomize": {"patches": [bad]}}]))
