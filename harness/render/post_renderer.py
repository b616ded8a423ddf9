"""What helm-controller changes in a release's objects after Helm has made them.

In its order (github.com/fluxcd/helm-controller, internal/postrender): each of
``spec.postRenderers`` as a kustomization over all objects, then ``spec.commonMetadata`` on the
metadata of each. ``spec.postRenderStrategy`` says whether hooks are among them.
"""

import json
import tempfile
from pathlib import Path

import yaml

from harness import tools
from harness.core import command
from harness.core.errors import InputError
from harness.core.values import Value, dig, items, mapping
from harness.core.yamlfile import ManifestLoader
from harness.render import kustomize
from harness.render.helm import Made, PostRendering

_HOOK = "helm.sh/hook"
_CRDS = "/crds/"
_CPU = 8  # seconds; it takes 0.1
_SECONDS = 120.0  # on a machine however busy


def apply(program: Path, objects: list[Made], post: PostRendering) -> list[Made]:
    """The objects as helm-controller hands them to the cluster.

    Args:
        program: kustomize.
        objects: what Helm has made, without the namespace that Helm adds as it applies.
        post: what to change.

    Raises:
        InputError: kustomize refuses a patch, or takes more than 8 s of CPU.
    """
    definitions = [each for each in objects if _CRDS in each[1]]  # Helm applies them before all
    rendered = [each for each in objects if _CRDS not in each[1]]
    hooks = [each for each in rendered if dig(each[0], "metadata", "annotations", _HOOK)]
    others = [each for each in rendered if each not in hooks]
    match post.strategy:
        case "nohooks":
            return [*definitions, *hooks, *_all(program, others, post)]
        case "separate":
            return [*definitions, *_all(program, hooks, post), *_all(program, others, post)]
        case _:
            return [*definitions, *_all(program, rendered, post)]


def _all(program: Path, objects: list[Made], post: PostRendering) -> list[Made]:
    for renderer in post.renderers if objects else ():
        objects = _kustomize(program, objects, mapping(renderer, "kustomize"))
    common = {"commonMetadata": post.common_metadata}
    return [(kustomize.with_common_metadata(each, common), path) for each, path in objects]


def _kustomize(program: Path, objects: list[Made], renderer: Value) -> list[Made]:
    """One object per file, so that the origin of each says which it was."""
    with tempfile.TemporaryDirectory(prefix="post-renderer-") as scratch:
        files = {f"{number}.yaml": each for number, each in enumerate(objects)}
        for name, (content, _) in files.items():
            Path(scratch, name).write_text(json.dumps(content))
        kustomization = {
            "resources": list(files),
            "patches": items(renderer, "patches"),
            "images": items(renderer, "images"),
            "buildMetadata": ["originAnnotations"],
        }
        Path(scratch, "kustomization.yaml").write_text(json.dumps(kustomization))
        try:
            argv: list[str | Path] = [program, "build", scratch]
            output = command.run(argv, timeout=_SECONDS, cpu=_CPU, env=tools.QUICK)
        except command.ExitError as error:
            reason = error.message.partition("\n")[2] or error.message
            raise InputError(f"spec.postRenderers: {reason.removeprefix('Error: ')}") from error
        built: list[Made] = []
        for chunk in f"\n{output.stdout}".split("\n---\n"):
            content, origin = kustomize.without_origin(
                yaml.load(chunk, Loader=ManifestLoader) or {}  # noqa: S506  a SafeLoader
            )
            if content:
                built.append((content, files[origin][1]))
    return built
