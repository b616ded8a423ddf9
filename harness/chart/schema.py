"""values.schema.json: JSON Schema (draft 2020-12) that refuses every key it does not know.

Helm reads it before it renders, so a value with a typo never reaches a cluster.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from harness.chart.values import TYPED, Value

_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}

_LABELS = {"type": "object", "additionalProperties": {"type": "string"}}
# apimachinery's resource.Quantity, as text: a bare 1 would be a number in one place, 1Gi not.
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"


def _strict(properties: Mapping[str, object], required: Sequence[str] = ()) -> dict[str, object]:
    schema: dict[str, object] = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
    }
    return {**schema, "required": list(required)} if required else schema


_SELECTOR = _strict(
    {
        "matchLabels": _LABELS,
        "matchExpressions": {
            "type": "array",
            "items": _strict(
                {
                    "key": {"type": "string"},
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": {"type": "array", "items": {"type": "string"}},
                },
                ["key", "operator"],
            ),
        },
    }
)

# Shapes that several values share; `@schema {$ref: '#/$defs/NAME'}` refers to them.
DEFINITIONS: Mapping[str, object] = {
    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "quantity": {"type": "string", "pattern": _QUANTITY},
    "resources": _strict(
        {
            part: {"type": "object", "additionalProperties": {"$ref": "#/$defs/quantity"}}
            for part in ("requests", "limits")
        },
        ["requests", "limits"],
    ),
    "modelFile": _strict(
        {
            "name": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]*\.mar$"},
            "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "size": {"type": "integer", "minimum": 0},
            "sample": _strict(
                {
                    "contentType": {"type": "string"},
                    "body": {"type": "string", "pattern": "^[A-Za-z0-9+/]+=*$"},
                },
                ["contentType", "body"],
            ),
        },
        ["name", "sha256", "size"],
    ),
    "toleration": _strict(
        {
            "key": {"type": "string"},
            "operator": {"enum": ["Equal", "Exists"]},
            "value": {"type": "string"},
            "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
            "tolerationSeconds": {"type": "integer", "minimum": 0},
        }
    ),
    "named": {
        "type": "object",
        "properties": {"name": {"type": "string", "minLength": 1}},
        "required": ["name"],
    },
    "variable": _strict(
        {
            "name": {"type": "string", "minLength": 1},
            "value": {"type": "string"},
            "valueFrom": {"type": "object", "minProperties": 1, "maxProperties": 1},
        },
        ["name"],
    ),
    "variables": _strict(
        {
            "prefix": {"type": "string"},
            "configMapRef": {"$ref": "#/$defs/named"},
            "secretRef": {"$ref": "#/$defs/named"},
        }
    ),
    "mount": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "mountPath": {"type": "string", "pattern": "^/"},
            "subPath": {"type": "string"},
            "readOnly": {"type": "boolean"},
        },
        "required": ["name", "mountPath"],
    },
    # As in a pod, where the API server knows more than these.
    "container": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "image": {"type": "string", "minLength": 1}},
        "required": ["name", "image"],
    },
    "object": {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": "#/$defs/named"},
        },
        "required": ["apiVersion", "kind", "metadata"],
    },
    "peer": _strict(
        {
            "namespaceSelector": _SELECTOR,
            "podSelector": _SELECTOR,
            "ipBlock": _strict(
                {
                    "cidr": {"type": "string"},
                    "except": {"type": "array", "items": {"type": "string"}},
                },
                ["cidr"],
            ),
        }
    ),
}


def build(values: Sequence[Value]) -> str:
    """The schema of these values, as JSON text."""
    root = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_strict(_properties(values, 0)),
        "$defs": DEFINITIONS,
    }
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"


def _properties(values: Iterable[Value], depth: int) -> dict[str, object]:
    """The values below one group, whose keys agree up to ``depth``."""
    properties: dict[str, object] = {}
    for key, members in groupby(values, key=lambda value: value.keys[depth]):
        first, *rest = members
        if len(first.keys) == depth + 1:
            properties[key] = _describe(first)
        else:
            properties[key] = _strict(_properties([first, *rest], depth + 1))
    return properties


def _describe(value: Value) -> dict[str, object]:
    described: dict[str, object] = {"description": value.text, "default": value.default}
    if not TYPED & value.schema.keys():
        described["type"] = _TYPES[type(value.default)]
    return described | dict(value.schema)
