"""A model's files, staged in a folder of their own, ready to be packed.

torch and torchvision are imported here, and only for a model that is not made of files alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.core.errors import InputError
from harness.models import source, weights
from harness.models.archive import Contents
from harness.models.catalog import Eager, Model, Torchvision


@dataclass(frozen=True, slots=True)
class StagedModel:
    """The model's own file, and its code if it is eager."""

    version: str
    serialized: Path
    code: Path | None = None
    note: str = ""


def sources(model: Model) -> Iterator[str]:
    """Every file that goes into the archive."""
    if eager := model.artifact.eager:
        yield eager.code
        yield from _parts(eager).values()
    for saved in (model.artifact.torchscript, model.artifact.export):
        if saved:
            yield saved.file
    if model.handler and model.handler.endswith(".py"):
        yield model.handler
    yield from model.extra_files.values()


def stage(model: Model, folder: Path, into: Path, downloads: Path) -> Contents:
    """Put the model's files into the empty folder ``into``.

    Args:
        model: what to make; not an adopted archive.
        folder: where its model.yaml lies.
        into: a folder that the caller removes.
        downloads: where downloaded weights are kept.

    Raises:
        InputError: a file that model.yaml names is missing, or weights do not fit the code.
        HarnessError: a package is missing, or weights without a fallback cannot be downloaded.
    """
    root = into / "root"
    for name, origin in model.extra_files.items():
        _link(source.resolve(origin, folder), root / name)
    for package in sorted({source.package_of(origin) or "" for origin in sources(model)} - {""}):
        for text in source.licenses(package):
            # The folder's name is part of every archive's bytes, so it keeps its British spelling.
            _link(text, root / "licences" / package / text.name)
    handler = model.handler or ""
    if handler.endswith(".py"):
        handler = _link(source.resolve(handler, folder), into / Path(handler).name).name
    staged = _stage_model(model, folder, into, downloads)
    config = into / "model-config.yaml"
    if model.config:
        config.write_text(yaml.safe_dump(model.config.archived(), sort_keys=True))
    return Contents(
        name=model.name,
        version=staged.version,
        handler=handler,
        serialized=staged.serialized,
        code=staged.code,
        config=config if model.config else None,
        root=root,
        note=staged.note,
    )


def _stage_model(model: Model, folder: Path, into: Path, downloads: Path) -> StagedModel:
    artifact = model.artifact
    if artifact.torchvision:
        return _torchvision(model, artifact.torchvision, folder, into, downloads)
    if artifact.eager:
        code = source.resolve(artifact.eager.code, folder)
        serialized = _state_dict(artifact.eager, folder, into)
        return StagedModel(model.version, serialized, _link(code, into / code.name))
    saved = artifact.torchscript or artifact.export
    if saved is None:
        raise InputError("an adopted archive is not made here", at=folder / "model.yaml")
    path = source.resolve(saved.file, folder)
    return StagedModel(model.version, _link(path, into / path.name))


def _torchvision(
    model: Model, spec: Torchvision, folder: Path, into: Path, downloads: Path
) -> StagedModel:
    from torchvision.models import get_weight

    try:
        published = get_weight(spec.weights)
    except (ValueError, KeyError) as error:
        place = source.mention(spec.weights, folder / "model.yaml")
        raise InputError(f"torchvision has no weights {spec.weights}", at=place) from error
    labels = json.dumps(published.meta["categories"], ensure_ascii=False)
    (into / "root").mkdir(exist_ok=True)
    (into / "root" / "labels.json").write_text(labels, encoding="utf-8")
    path = into / f"{spec.builder}.pth"
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


def _state_dict(eager: Eager, folder: Path, into: Path) -> Path:
    parts = {prefix: source.resolve(name, folder) for prefix, name in _parts(eager).items()}
    if list(parts) == [""]:
        return _link(parts[""], into / parts[""].name)
    import torch

    merged = {
        f"{prefix}.{key}": value
        for prefix, path in parts.items()
        for key, value in torch.load(path, map_location="cpu", weights_only=True).items()
    }
    torch.save(merged, into / "weights.pth")
    return into / "weights.pth"


def _parts(eager: Eager) -> Mapping[str, str]:
    """Submodule → file; the whole module's name is empty."""
    return {"": eager.state_dict} if isinstance(eager.state_dict, str) else eager.state_dict


def _link(origin: Path, target: Path) -> Path:
    """Stage a file without a copy of it: weights may be larger than what is free on this disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to(origin.resolve())
    return target
