"""Plain YAML and JSON values: what lies at a path, as the type that is expected there."""

from collections.abc import Iterator, Mapping

Key = str | int
KeyPath = tuple[Key, ...]
"""Where a value lies below another: the keys and indexes that lead to it."""

Value = Mapping[str, object]


def dig(value: object, *path: Key) -> object:
    """The value at ``path`` below ``value``, or None if the path ends early."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return None
    return value


def mapping(value: object, *path: Key) -> Value:
    """The mapping at ``path``; empty if there is none."""
    inner = dig(value, *path)
    return inner if isinstance(inner, dict) else {}


def items(value: object, *path: Key) -> list[object]:
    """The list at ``path``; empty if there is none."""
    inner = dig(value, *path)
    return inner if isinstance(inner, list) else []


def text(value: object, *path: Key) -> str:
    """The text at ``path``; empty if there is none."""
    inner = dig(value, *path)
    return inner if isinstance(inner, str) else ""


def leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Every value below that is not a mapping or list, with the path to it from ``path`` on."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value


def merge(base: Value, patch: Value) -> dict[str, object]:
    """Return ``base`` with ``patch`` on top: mappings are merged, anything else is replaced."""
    merged = dict(base)
    for key, value in patch.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(mapping(below), mapping(value)) if both else value
    return merged
