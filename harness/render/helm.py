"""A HelmRelease whose chart lies on this machine, as helm-controller would install it.

Values come in Flux's order: each of ``valuesFrom`` over the one before, ``values`` over all.
Hooks and Helm tests are rendered too: they run in the cluster like anything else.
"""

import difflib
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import yaml

from harness import tools
from harness.core import command
from harness.core.errors import InputError, Location
from harness.core.fix import run
from harness.core.problem import Problem
from harness.core.values import Value, dig, items, mapping, merge, text
from harness.core.yamlfile import ManifestLoader
from harness.render.objects import Object, stem
from harness.render.tree import Tree

KUBERNETES = "1.36.0"
"""What ``.Capabilities.KubeVersion`` says to charts."""

_OVERLAYS, _CHART = Path("apps/torchserve"), "apps/torchserve/chart"
_ALIKE = 0.95  # of two keys: one is the other, misspelt
_CPU = 8  # seconds; a chart takes 0.2
_SECONDS = 120.0  # on a machine however busy
_WHOLE_CLUSTER = {
    "APIService",
    "CSIDriver",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
}


Made = tuple[Value, str]
"""An object, and the path of the template that made it."""


class HelmError(InputError):
    """helm does not render a release; the message is its own."""


@dataclass(frozen=True, slots=True)
class PostRendering:
    """The part of a HelmRelease that changes what Helm has made."""

    renderers: Sequence[object] = ()
    common_metadata: Value = field(default_factory=dict)
    strategy: str = "combined"

    def __bool__(self) -> bool:
        return bool(self.renderers or self.common_metadata)

    @property
    def inputs(self) -> list[object]:
        """What the result depends on, as JSON has it."""
        return [list(self.renderers), dict(self.common_metadata), self.strategy]


@dataclass(frozen=True, slots=True)
class Template:
    """One ``helm template`` to run.

    Attributes:
        chart: the chart's folder in the tree, or its archive.
        values: the merged values.
        post: what helm-controller changes in the result.
    """

    chart: str
    release: str
    namespace: str
    values: Value
    post: PostRendering = PostRendering()

    def key(self, tree: Tree) -> str:
        """Changes with everything that the result depends on."""
        digest = tree.digest(tree.files(self.chart))
        inputs: list[object] = [self.chart, self.release, self.namespace, self.values, KUBERNETES]
        inputs += self.post.inputs if self.post else []
        return json.dumps(["helm", digest, inputs], sort_keys=True)


def post_rendering(release: Object) -> PostRendering:
    """What a HelmRelease says about it."""
    spec = mapping(release.value, "spec")
    strategy = text(spec, "postRenderStrategy") or "combined"
    return PostRendering(items(spec, "postRenderers"), mapping(spec, "commonMetadata"), strategy)


def template(release: Object, values: Value) -> Template:
    """What to render for a HelmRelease."""
    spec = mapping(release.value, "spec")
    target = text(spec, "targetNamespace")
    default = f"{target}-{release.name}" if target else release.name
    return Template(
        chart=text(spec, "chart", "spec", "chart").removeprefix("./").rstrip("/"),
        release=text(spec, "releaseName") or default,
        namespace=target or release.namespace,
        values=values,
        post=post_rendering(release),
    )


def render(
    program: Path, tree: Tree, request: Template, post_render: Callable[[list[Made]], list[Made]]
) -> list[list[object]]:
    """The objects of the release, each as JSON-able ``[value, template's path]``.

    Args:
        program: helm.
        post_render: changes what helm has made; called only where ``request.post`` says so.

    Raises:
        HelmError: helm refuses the chart or its values, or takes more than 8 s of CPU.
        InputError: kustomize refuses a patch of a post-renderer.
        CommandError: it did not end, which may be the machine.
    """
    chart = tree.inside(request.chart)
    with tempfile.TemporaryDirectory(prefix="helm-") as scratch:
        values = Path(scratch, "values.json")
        values.write_text(json.dumps(request.values))
        argv: list[str | Path] = [program, "template", request.release, chart, "--include-crds"]
        argv += ["--namespace", request.namespace, "--values", values]
        argv += ["--kube-version", KUBERNETES]
        try:
            home = isolated_home(scratch)
            output = command.run(argv, timeout=_SECONDS, cpu=_CPU, env=home).stdout
        except command.ExitError as error:
            raise _refusal(error, request) from error
    objects = [(each, f"{request.chart}/{name}") for name, each in _documents(output, request)]
    if request.post:
        objects = post_render(objects)
    return [[_with_namespace(each, request.namespace), path] for each, path in objects]


def read(rendered: object) -> list[tuple[Value, str]]:
    """What ``render`` returned, typed."""
    return [(value, path) for value, path in cast("list[tuple[Value, str]]", rendered)]


def merged_values(release: Object, find_config_map: Callable[[str], Object | None]) -> Value:
    """The values of a HelmRelease as helm-controller merges them.

    Args:
        release: the HelmRelease.
        find_config_map: finds a ConfigMap of the HelmRelease's namespace.

    Raises:
        InputError: a ConfigMap or key does not exist, or a value would not arrive as it is written.
    """
    merged: dict[str, object] = {}
    for index, source in enumerate(items(release.value, "spec", "valuesFrom")):
        at = release.at("spec", "valuesFrom", index)
        config_map = (
            find_config_map(text(source, "name")) if text(source, "kind") == "ConfigMap" else None
        )
        key = text(source, "valuesKey") or "values.yaml"
        keys = mapping(config_map.value if config_map else None, "data")
        data = keys.get(key)
        if isinstance(data, str):
            merged = merge(merged, _from_reference(source, key, data, at))
        elif similar := difflib.get_close_matches(key, keys, 1, _ALIKE):
            # Optional or not: what is left out without a word is what the writer meant to have.
            message = f"{text(source, 'name')} has no {key}; {similar[0]} is meant?"
            raise InputError(message, at=release.at("spec", "valuesFrom", index, "valuesKey"))
        elif dig(source, "optional") is not True:
            # Of a ConfigMap that kustomize generates, what generates it lacks the file.
            lacking = config_map.at("data") if config_map else at
            name = f"{text(source, 'kind')}/{stem(text(source, 'name'))}"
            raise InputError(f"{name} has no {key}, which the HelmRelease reads", at=lacking)
    return merge(merged, mapping(release.value, "spec", "values"))


def _from_reference(source: object, key: str, data: str, at: Location) -> dict[str, object]:
    target = text(source, "targetPath")
    if target:
        literal = dig(source, "literal") is True
        if not literal and re.search(r"[,{}\[\]\\=\n]", data):
            raise InputError(
                f"{key} would be parsed like `helm --set`, which splits it",
                at=at,
                hint="add `literal: true`",
            )
        value: object = data if literal else yaml.load(data, Loader=ManifestLoader)  # noqa: S506
        for part in reversed(target.split(".")):
            value = {part: value}
        return cast("dict[str, object]", value)
    try:
        parsed = yaml.load(data, Loader=ManifestLoader) or {}  # noqa: S506
    except yaml.YAMLError as error:
        raise InputError(f"{key} is not YAML: {error}", at=at) from error
    if not isinstance(parsed, dict):
        raise InputError(f"{key} does not hold values", at=at)
    return parsed


def _documents(output: str, request: Template) -> list[tuple[str, Value]]:
    documents: list[tuple[str, Value]] = []
    for chunk in f"\n{output}".split("\n---\n"):
        name = re.search(r"^# Source: [^/]+/(.+)$", chunk, re.MULTILINE)
        try:
            value = yaml.load(chunk, Loader=ManifestLoader)  # noqa: S506
        except yaml.YAMLError as error:
            raise InputError(f"made no YAML: {error}", at=Path(request.chart)) from error
        if isinstance(value, dict):
            documents.append((name[1] if name else "Chart.yaml", value))
    return documents


def _with_namespace(value: Value, namespace: str) -> Value:
    """Helm puts an object without a namespace into the release's."""
    metadata = mapping(value, "metadata")
    if "namespace" in metadata or text(value, "kind") in _WHOLE_CLUSTER:
        return value
    return {**value, "metadata": {**metadata, "namespace": namespace}}


def _refusal(error: command.ExitError, request: Template) -> HelmError:
    lines = error.message.splitlines()
    reason = "\n".join(lines[1:] or lines).removeprefix("Error: ")
    return HelmError(reason, at=Path(request.chart))


def isolated_home(scratch: str) -> dict[str, str]:
    """For helm's environment: its settings come from the release alone, not the user's home."""
    folders = {f"HELM_{name}_HOME": f"{scratch}/{name}" for name in ("CACHE", "CONFIG", "DATA")}
    return {**tools.QUICK, **folders}


def is_layout_before_groups(tree: Tree, chart: str, env: str) -> bool:
    """Whether an overlay of TorchServe's chart is itself the only group that it has."""
    return chart == _CHART and (tree.root / _OVERLAYS / env / "serving.yaml").is_file()


def before_groups(env: str, release: str) -> Problem:
    """Why the chart gets no settings in such an overlay."""
    overlay = _OVERLAYS / env
    return Problem(
        f"{overlay} has the layout of before groups, which the base gives no settings",
        Location(overlay / "kustomization.yaml", 1),
        release,
        "render/helm",
        run("harness", "groups", "adopt-layout", "--env", env),
    )
