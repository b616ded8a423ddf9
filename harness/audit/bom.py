"""The bill of materials: what a scanner cataloged, and the Java libraries that it does not detect.

CycloneDX. A library in TorchServe's JAR has the number of its classes that can still be loaded:

    "properties": [{"name": "torchserve:classes", "value": "369"},
                   {"name": "torchserve:classes-left", "value": "7"}]
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from packageurl import PackageURL

from harness.audit.java import Part
from harness.core.errors import InputError

Bom = dict[str, object]
_FILE_PATH = "aquasecurity:trivy:FilePath"  # the name that Trivy's decoder knows


def load(path: Path) -> Bom:
    """The bill of materials that a scanner wrote to ``path``.

    Raises:
        InputError: it cannot be read, or is not a CycloneDX document in JSON.
    """
    try:
        return read(path.read_text(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", at=path) from error


def read(text: str, path: Path) -> Bom:
    """A bill of materials in ``text``; ``path`` is only for the errors.

    Raises:
        InputError: it is not a CycloneDX document in JSON.
    """
    try:
        bom = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", at=path) from error
    if not isinstance(bom, dict) or bom.get("bomFormat") != "CycloneDX":
        raise InputError(
            "is not a CycloneDX document",
            at=path,
            hint="`trivy image --format cyclonedx` writes one",
        )
    return bom


def with_java(bom: Bom, parts: Iterable[Part]) -> Bom:
    """``bom`` with the Java libraries in place of those that the scanner found in the same JARs."""
    java = {reference(part): _component(part) for part in parts}
    jars = {part.jar for part in parts}
    others = [each for each in components(bom) if _file(each) not in jars]
    return {**bom, "components": [*others, *java.values()]}


def reference(part: Part) -> str:
    """A Java library's unique name in the bill of materials."""
    return "#".join(filter(None, (part.purl, part.jar, part.inside)))


def components(bom: Bom) -> list[dict[str, object]]:
    """Its components."""
    listed = bom.get("components") or []
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def count(bom: Bom) -> dict[str, int]:
    """How many components it has of each kind of package URL."""
    kinds: dict[str, int] = {}
    for each in components(bom):
        if purl := each.get("purl"):
            kind = str(purl).removeprefix("pkg:").partition("/")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def _component(part: Part) -> Mapping[str, object]:
    url = PackageURL.from_string(part.purl)
    properties = {_FILE_PATH: part.jar, "torchserve:classes": str(part.classes)}
    properties["torchserve:classes-left"] = str(part.loadable)
    if part.inside:
        properties["torchserve:copied-into"] = part.inside
    return {
        "type": "library",
        "bom-ref": reference(part),
        **({"group": url.namespace} if url.namespace else {}),
        "name": url.name,
        "version": url.version,
        "purl": part.purl,
        "properties": [{"name": name, "value": value} for name, value in properties.items()],
    }


def _file(component: Mapping[str, object]) -> str:
    listed = component.get("properties") or []
    pairs = listed if isinstance(listed, list) else []
    return next((str(pair["value"]) for pair in pairs if pair.get("name") == _FILE_PATH), "")
