"""OpenAPI v3 as Kubernetes publishes it → strict JSON Schema, one self-contained file a kind.

Strict: a key that the API does not know is an error, since the API server would drop it without a
word. What JSON Schema has no word for (CEL rules, formats, merge keys) is left out; CEL rules are
evaluated by a real API server in the cluster tests.
"""

from collections.abc import Iterator, Mapping
from typing import cast

Schema = dict[str, object]

_KEPT = (
    "type",
    "enum",
    "pattern",
    "required",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "multipleOf",
    "uniqueItems",
)
_ROOT = "#/definitions/"
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# Types that the API server reads from either a number or text.
_EITHER = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
}
# Types that hold anything.
_ANY = {
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray",
}


def file_name(kind: str, group: str, version: str) -> str:
    """What kubeconform is told to look for; it calls the core group by its version."""
    return f"{kind.lower()}-{group or version}-{version}.json"


def from_swagger(swagger: Mapping[str, object]) -> Iterator[tuple[str, Schema]]:
    """Every kind of Kubernetes's own API: the file's name and its schema."""
    definitions = cast("dict[str, Schema]", swagger["definitions"])
    strict = {name: _definition(name, each) for name, each in definitions.items()}
    for name, definition in definitions.items():
        kinds = cast("list[dict[str, str]]", definition.get("x-kubernetes-group-version-kind", []))
        for kind in kinds if len(kinds) == 1 else ():
            schema = cast("Schema", _inline(strict[name], strict, (name,)))
            file = file_name(kind["kind"], kind["group"], kind["version"])
            yield file, _root_schema(schema, kind["kind"], _api_version(kind))


def from_crd(crd: Mapping[str, object], metadata: Schema) -> Iterator[tuple[str, Schema]]:
    """Every served version of a CustomResourceDefinition.

    Args:
        crd: the definition.
        metadata: the schema of ``metadata``: see ``object_metadata``.
    """
    spec = cast("dict[str, object]", crd["spec"])
    group = cast("str", spec["group"])
    kind = cast("dict[str, str]", spec["names"])["kind"]
    for version in cast("list[dict[str, object]]", spec["versions"]):
        name = cast("str", version["name"])
        openapi = cast("dict[str, Schema]", version.get("schema", {})).get("openAPIV3Schema", {})
        if version.get("served"):
            root = _root_schema(_strict(openapi), kind, f"{group}/{name}")
            cast("dict[str, Schema]", root["properties"])["metadata"] = metadata
            yield file_name(kind, group, name), root


def object_metadata(swagger: Mapping[str, object]) -> Schema:
    """The schema of every object's ``metadata``."""
    definitions = cast("dict[str, Schema]", swagger["definitions"])
    strict = {name: _definition(name, each) for name, each in definitions.items()}
    return cast("Schema", _inline(strict[_METADATA], strict, (_METADATA,)))


def _definition(name: str, openapi: Schema) -> Schema:
    if name in _EITHER:
        return {"type": ["string", "integer", "number"]}
    return {} if name in _ANY else _strict(openapi)


def _strict(openapi: Schema) -> Schema:
    """One node: what JSON Schema can say of it, and no key beyond its own."""
    if openapi.get("x-kubernetes-int-or-string") or openapi.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    if "$ref" in openapi:
        return {"$ref": openapi["$ref"]}
    strict: Schema = {key: openapi[key] for key in _KEPT if key in openapi}
    properties = cast("dict[str, Schema]", openapi.get("properties", {}))
    strict |= _combinations(openapi)
    if properties:
        strict["properties"] = {key: _strict(each) for key, each in properties.items()}
    if isinstance(openapi.get("items"), dict):
        strict["items"] = _strict(cast("Schema", openapi["items"]))
    more = openapi.get("additionalProperties")
    if isinstance(more, dict):
        strict["additionalProperties"] = _strict(more)
    elif properties and not openapi.get("x-kubernetes-preserve-unknown-fields"):
        strict["additionalProperties"] = False
    if openapi.get("x-kubernetes-embedded-resource") or openapi.get(
        "x-kubernetes-preserve-unknown-fields"
    ):
        strict.pop("additionalProperties", None)
    return strict


def _combinations(openapi: Schema) -> Schema:
    """anyOf, oneOf, allOf and not: conditions on keys that the node itself lists."""
    combined: Schema = {}
    for key in ("anyOf", "oneOf", "allOf"):
        if key in openapi:
            parts = cast("list[Schema]", openapi[key])
            combined[key] = [_condition(each) for each in parts]
    if "not" in openapi:
        combined["not"] = _condition(cast("Schema", openapi["not"]))
    return combined


def _condition(openapi: Schema) -> Schema:
    """A branch of a combination: no keys are forbidden in it, the node around it does that."""
    condition: Schema = {key: openapi[key] for key in _KEPT if key in openapi} | _combinations(
        openapi
    )
    properties = cast("dict[str, Schema]", openapi.get("properties", {}))
    if properties:
        condition["properties"] = {key: _condition(each) for key, each in properties.items()}
    if isinstance(openapi.get("items"), dict):
        condition["items"] = _condition(cast("Schema", openapi["items"]))
    return condition


def _root_schema(schema: Schema, kind: str, api_version: str) -> Schema:
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    named = {"kind": {"const": kind}, "apiVersion": {"const": api_version}}
    required = cast("list[str]", schema.get("required", []))
    return {
        **schema,
        "type": "object",
        "properties": {**properties, **named},
        "required": sorted({*required, "kind", "apiVersion"}),
        "additionalProperties": False,
    }


def _api_version(kind: Mapping[str, str]) -> str:
    return f"{kind['group']}/{kind['version']}" if kind["group"] else kind["version"]


def _inline(value: object, definitions: Mapping[str, Schema], above: tuple[str, ...]) -> object:
    """The value with what it refers to in place of each reference.

    kubeconform names the field of an error only where no reference stands above it. What refers to
    itself (the schema inside of a CustomResourceDefinition) may hold anything below itself.
    """
    if isinstance(value, list):
        return [_inline(each, definitions, above) for each in value]
    if not isinstance(value, dict):
        return value
    name = value.get("$ref")
    if isinstance(name, str):
        name = name.removeprefix(_ROOT)
        return {} if name in above else _inline(definitions[name], definitions, (*above, name))
    return {key: _inline(each, definitions, above) for key, each in value.items()}
