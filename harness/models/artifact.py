"""A model's files, staged in a folder of their own, ready to be packed.

torch and torchvision are imported here, and only for a model that is not made of files alone.
"""

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml

from harness.core import console
from harness.core.errors import InputError
from harness.models import handler, source, weights
from harness.models.archive import Contents
from harness.models.catalog import Artifact, Eager, Model, Torchvision

_DIFFUSERS = "model_index.json"


@dataclass(frozen=True, slots=True)
class StagedModel:
    """The model's own file if it has one, and its code if it is eager."""

    version: str
    serialized: Path | None = None
    code: Path | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Staging:
    """The folder ``into``, filled with links: no path of the archive is taken by two sources."""

    model: Path
    into: Path
    origins: dict[str, str] = field(default_factory=dict)  # path in the archive → its source

    def add(self, origin: str, name: str, exclude: Sequence[str] = ()) -> None:
        """Link a source to the path ``name`` of the archive; a folder keeps its form there."""
        tree = source.expand(origin, self.model)
        excluded = list(tree.excluded)
        for inner, path in tree.files.items():
            if any(fnmatch.fnmatchcase(inner, pattern) for pattern in exclude):
                excluded.append(inner)
                continue
            target = str(PurePosixPath(name, inner if tree.is_folder or name == "." else ""))
            self._claim(target, origin)
            _link(path, self.into / "root" / target)
        if excluded:
            names = ", ".join(excluded[:5]) + (", …" if len(excluded) > 5 else "")
            console.note(f"! {self.model.name}: left out of {origin}: {names}")

    def link(self, origin: str, name: str = "") -> Path:
        """Link a file, by default under the name that it has, next to the archive's other files."""
        basename, path = source.file(origin, self.model)
        name = name or basename
        self._claim(name, origin)
        return _link(path, self.into / name)

    def write(self, name: str, text: str) -> Path:
        """Write a file that is made here."""
        self._claim(name.removeprefix("root/"), "what the build writes")
        path = self.into / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _claim(self, target: str, origin: str) -> None:
        other = self.origins.setdefault(target, origin)
        if other != origin:
            place = source.mention(origin, self.model / "model.yaml")
            hint = "give one of them another path in extraFiles"
            raise InputError(f"{target} is {other} and {origin} too", at=place, hint=hint)


def sources(model: Model) -> Iterator[str]:
    """Every source of what goes into the archive."""
    artifact = model.artifact
    if artifact.adopted:  # whose handler is in the archive
        if artifact.adopted.is_remote:
            yield artifact.adopted.archive
        return
    if artifact.eager:
        yield artifact.eager.code
        yield from _parts(artifact.eager).values()
    if artifact.saved:
        yield artifact.saved.file
    if artifact.tree:
        yield artifact.tree.folder
    if (code := handler.file(model.handler or "")) and code not in model.extra_files:
        yield code
    yield from model.extra_files.values()


def stage(model: Model, folder: Path, into: Path, downloads: Path) -> Contents:
    """Put the model's files into the empty folder ``into``.

    Args:
        model: what to make; not an adopted archive.
        folder: where its model.yaml lies.
        into: a folder that the caller removes.
        downloads: where downloaded weights are kept.

    Raises:
        InputError: a file that model.yaml names is missing, two would have one path in the
            archive, or weights do not fit the code.
        HarnessError: a package is missing, or weights without a fallback cannot be downloaded.
    """
    staging = Staging(folder, into)
    for name, origin in model.extra_files.items():
        staging.add(origin, name)
    for package in sorted({source.package_of(origin) or "" for origin in sources(model)} - {""}):
        for text in source.licenses(package, folder):
            # The folder's name is part of every archive's bytes, so it keeps its British spelling.
            _link(text, into / "root" / "licences" / package / text.name)
    entry = model.handler or ""
    if code := handler.file(entry):
        packed = model.extra_files.get(code)
        linked = staging.link(packed, code) if packed else staging.link(code)
        entry = handler.in_manifest(entry, linked.name)
    staged = _stage_model(model, staging, downloads)
    config = None
    if model.config and (settings := model.config.archive_settings()):
        config = staging.write("model-config.yaml", yaml.safe_dump(settings, sort_keys=True))
    return Contents(
        name=model.name,
        version=staged.version,
        handler=entry,
        staging=into,
        serialized=staged.serialized,
        code=staged.code,
        config=config,
        note=staged.note,
    )


def _stage_model(model: Model, staging: Staging, downloads: Path) -> StagedModel:
    artifact = model.artifact
    if artifact.torchvision:
        return _torchvision(model, artifact.torchvision, staging, downloads)
    if artifact.eager:
        serialized = _state_dict(artifact.eager, staging)
        return StagedModel(model.version, serialized, staging.link(artifact.eager.code))
    if artifact.saved:
        return StagedModel(model.version, staging.link(artifact.saved.file))
    if artifact.tree:
        _refuse_other_folders(artifact, staging.model)
        staging.add(artifact.tree.folder, artifact.tree.into, artifact.tree.exclude)
    return StagedModel(model.version)


def _refuse_other_folders(artifact: Artifact, model: Path) -> None:
    """A folder of a known kind has the file by which its library knows it."""
    for kind, marker in ((artifact.huggingface, "config.json"), (artifact.diffusers, _DIFFUSERS)):
        if kind and marker not in source.expand(kind.folder, model).files:
            place = source.mention(kind.folder, model / "model.yaml")
            hint = "`folder:` takes a folder of any files"
            raise InputError(f"{kind.folder} has no {marker}", at=place, hint=hint)


def _torchvision(model: Model, spec: Torchvision, staging: Staging, downloads: Path) -> StagedModel:
    from torchvision.models import get_weight

    try:
        published = get_weight(spec.weights)
    except (ValueError, KeyError) as error:
        place = source.mention(spec.weights, staging.model / "model.yaml")
        raise InputError(f"torchvision has no weights {spec.weights}", at=place) from error
    staging.write("root/labels.json", json.dumps(published.meta["categories"], ensure_ascii=False))
    path = staging.into / f"{spec.builder}.pth"
    try:
        _link(weights.fetch(published.url, downloads), path)
    except weights.UnreachableError as error:
        if spec.fallback is None:
            raise
        _random_weights(spec.builder, spec.fallback.seed, path)
        note = f"seeded random weights, so its answers mean nothing ({error})"
        return StagedModel(spec.fallback.version, path, note=note)
    return StagedModel(model.version, path)


def _random_weights(builder: str, seed: int, path: Path) -> None:
    import torch
    from torchvision.models import get_model

    torch.manual_seed(seed)
    torch.save(get_model(builder, weights=None).state_dict(), path)


def _state_dict(eager: Eager, staging: Staging) -> Path | None:
    if isinstance(eager.state_dict, str):
        return staging.link(eager.state_dict)
    if eager.state_dict is None:
        return None
    import torch

    merged = {
        f"{prefix}.{key}": value
        for prefix, name in eager.state_dict.items()
        for key, value in torch.load(
            source.file(name, staging.model)[1], map_location="cpu", weights_only=True
        ).items()
    }
    torch.save(merged, staging.into / "weights.pth")
    return staging.into / "weights.pth"


def _parts(eager: Eager) -> Mapping[str, str]:
    """Submodule → file; the whole module's name is empty."""
    if isinstance(eager.state_dict, str):
        return {"": eager.state_dict}
    return eager.state_dict or {}


def _link(origin: Path, target: Path) -> Path:
    """Stage a file without a copy of it: weights may be larger than what is free on this disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(origin.resolve())
    return target
