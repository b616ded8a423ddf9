"""What a change does to an environment: its rendered objects before and after, field by field.

``dangers`` picks out what a reviewer must not miss: what cannot be undone, what the API server
refuses to change, and what opens a door.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.core.values import KeyPath, Value, dig, items, leaves, text
from harness.core.words import amount
from harness.render import rollout
from harness.render.objects import Object, stem
from harness.render.rendered import Environment

_WIDTH = 120  # characters of a value that are shown

# Written by Helm from the chart's version: they change with it and say nothing.
_NOISE = ("helm.sh/chart", "checksum/")

_LOST = {
    "CustomResourceDefinition": "its objects go with it",
    "Namespace": "everything in it goes with it",
    "NetworkPolicy": "what it closed is open",
    "PersistentVolume": "the claim loses its volume",
    "PersistentVolumeClaim": "its data may go with it",
    "PodDisruptionBudget": "an eviction may take every pod",
    "StatefulSet": "its pods stop, its volumes stay",
}
# Fields that the API server refuses to change: the object has to be recreated.
_IMMUTABLE: dict[str, tuple[KeyPath, ...]] = {
    "DaemonSet": (("spec", "selector"),),
    "Deployment": (("spec", "selector"),),
    "Job": (("spec", "selector"), ("spec", "template")),
    "PersistentVolume": (("spec", "csi"), ("spec", "nfs"), ("spec", "hostPath")),
    "PersistentVolumeClaim": (
        ("spec", "accessModes"),
        ("spec", "selector"),
        ("spec", "storageClassName"),
        ("spec", "volumeName"),
    ),
    "PriorityClass": (("value",), ("preemptionPolicy",)),
    "RoleBinding": (("roleRef",),),
    "ClusterRoleBinding": (("roleRef",),),
    "Service": (("spec", "clusterIP"),),
    "StatefulSet": (
        ("spec", "selector"),
        ("spec", "serviceName"),
        ("spec", "volumeClaimTemplates"),
    ),
    "StorageClass": (("parameters",), ("provisioner",), ("reclaimPolicy",), ("volumeBindingMode",)),
}
_DOORS = ("allowPrivilegeEscalation", "hostIPC", "hostNetwork", "hostPID", "privileged")
_ROLES = ("Role", "ClusterRole")
_BINDINGS = ("RoleBinding", "ClusterRoleBinding")
_HOOK = "helm.sh/hook"
_LEVELS = ("privileged", "baseline", "restricted")
_ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, slots=True)
class Field:
    """One field that differs; a side that lacks it is None."""

    path: KeyPath
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Change:
    """An object that differs: added where ``old`` is None, removed where ``new`` is."""

    old: Object | None
    new: Object | None
    fields: tuple[Field, ...]

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        if self.old is None:
            return "added"
        return "changed" if self.new else "removed"

    @property
    def object(self) -> Object:
        """The newer of the two."""
        newer = self.new or self.old
        assert newer is not None  # noqa: S101  one of them is always there
        return newer


@dataclass(frozen=True, slots=True)
class Danger:
    """Something a reviewer must not miss."""

    kind: str
    message: str
    object: Object


def compare(old: Environment, new: Environment) -> list[Change]:
    """Every object that differs, in the order of the new environment."""
    before, after = _by_identity(old.objects), _by_identity(new.objects)
    changes = []
    for identity in dict.fromkeys((*after, *before)):
        was, now = before.get(identity), after.get(identity)
        if was is None or now is None:
            changes.append(Change(was, now, ()))
        elif fields := tuple(_fields(was.value, now.value, ())):
            changes.append(Change(was, now, fields))
    return changes


def dangers(changes: Iterable[Change]) -> Iterator[Danger]:
    """What a reviewer must not miss."""
    for change in changes:
        subject = change.object
        if change.new is None:
            if subject.kind in _LOST:
                yield Danger("removed", f"removed: {_LOST[subject.kind]}", subject)
            continue
        for kind, message in (
            *_immutable(change),
            *_rights(change),
            *_new_privileges(change),
            *_stops(change),
        ):
            yield Danger(kind, message, subject)


def _immutable(change: Change) -> Iterator[tuple[str, str]]:
    remade = _HOOK in change.object.annotations  # Helm recreates a hook each time
    for path in () if remade or not change.old else _IMMUTABLE.get(change.object.kind, ()):
        if any(field.path[: len(path)] == path for field in change.fields):
            where = ".".join(map(str, path))
            yield "immutable", f"{where} cannot be changed: the object has to be recreated"


def _rights(change: Change) -> Iterator[tuple[str, str]]:
    new, old = change.object.value, change.old.value if change.old else {}
    if change.object.kind in _ROLES:
        for rule in items(new, "rules"):
            if rule not in items(old, "rules"):
                yield "rbac", f"grants {_rule(rule)}"
    elif change.object.kind in _BINDINGS:
        for subject in items(new, "subjects"):
            if subject not in items(old, "subjects"):
                role = text(new, "roleRef", "name")
                yield "rbac", f"gives {role} to {text(subject, 'kind')} {text(subject, 'name')}"


def _new_privileges(change: Change) -> Iterator[tuple[str, str]]:
    for path, old, new in _leaves(change):
        name = path[-1] if path else ""
        if name in _DOORS and new is True and old is not True:
            yield "privileged", f"{'.'.join(map(str, path))} is set"
        elif "hostPath" in path and name == "path":
            yield "privileged", f"mounts {new} of the node"
        elif name == _ENFORCE and _level(new) < _level(old):
            yield "privileged", f"Pod Security falls from {old} to {new}"


def _stops(change: Change) -> Iterator[tuple[str, str]]:
    for path, old, new in _leaves(change):
        if path[-2:] == ("spec", "replicas") and new == 0 and old != 0:
            yield "stopped", "replicas fall to 0"
        elif path == ("spec", "suspend") and new is True:
            yield "stopped", "Flux stops looking at it"
        elif path == ("spec", "prune") and new is True and old is False:
            yield "removed", "Flux begins to remove what is no longer in Git"


def _leaves(change: Change) -> Iterator[tuple[KeyPath, object, object]]:
    """Every plain value that is new, with the one before it."""
    if change.old is None:
        yield from ((path, None, value) for path, value in leaves(change.object.value))
    for field in change.fields:
        for path, value in leaves(field.new, field.path):
            yield path, dig(field.old, *path[len(field.path) :]), value


def _fields(old: object, new: object, path: KeyPath) -> Iterator[Field]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*new, *old)):
            if not str(key).startswith(_NOISE):
                yield from _fields(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (was, now) in enumerate(zip(old, new, strict=True)):
            yield from _fields(was, now, (*path, index))
    elif old != new and not _same_stem(old, new):
        yield Field(path, old, new)


def _same_stem(old: object, new: object) -> bool:
    """Whether two names differ in the hash of what they name, which is shown where it changed."""
    return isinstance(old, str) and isinstance(new, str) and stem(old) == stem(new)


def _by_identity(objects: Iterable[Object]) -> dict[tuple[str, str, str, str], Object]:
    return {(each.group, each.kind, each.namespace, each.stem): each for each in objects}


def _rule(rule: object) -> str:
    def names(key: str) -> str:
        return ",".join(map(str, items(rule, key)))

    return f"{names('verbs')} on {names('resources') or names('nonResourceURLs')}"


def _level(value: object) -> int:
    return _LEVELS.index(value) if value in _LEVELS else -1


def count(changes: Sequence[Change]) -> str:
    """How many objects differ, in words."""
    return amount(len(changes), "object differs", "objects differ")


def as_markdown(old: Environment, new: Environment) -> str:
    """For a pull request: the dangers first, then every object that differs."""
    changes = compare(old, new)
    lines = [f"## {new.name}: {count(changes)}"]
    warnings = list(dangers(changes))
    if warnings:
        lines += ["", "**Look at these first**", ""]
        lines += [f"- **{each.kind}** {each.object}: {each.message}" for each in warnings]
    if replaced := list(rollout.lines(old, new, changes)):
        lines += ["", "**Pods that are replaced**", "", *(f"- {each}" for each in replaced)]
    for change in changes:
        lines += ["", *format_change(change)]
    return "\n".join(lines)


def format_change(change: Change) -> Iterator[str]:
    """A change as lines of text: the object, and each field with its value before and after."""
    if change.new is None or change.old is None:
        yield f"{'+' if change.new else '-'} {change.object}"
        return
    yield f"~ {change.object}"
    for field in change.fields:
        where = ".".join(map(str, field.path))
        if isinstance(field.old, str) and isinstance(field.new, str) and "\n" in field.new:
            yield f"    {where}:"
            yield from _lines(field.old, field.new)
        else:
            yield f"    {where}: {_short(field.old)} → {_short(field.new)}"
        yield f"      {change.object.at(*field.path)}"


def _lines(old: str, new: str) -> Iterator[str]:
    """The lines of a text that differ."""
    for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0):
        if not line.startswith(("---", "+++", "@@")):
            yield f"      {_short(line)}"


def _short(value: object) -> str:
    short = "nothing" if value is None else str(value)
    return short if len(short) <= _WIDTH else f"{short[:_WIDTH]}…"


def as_data(old: Environment, new: Environment) -> dict[str, Value | list[object]]:
    """The same as plain data, for JSON."""
    changes = compare(old, new)
    replaced = rollout.rollouts(old, new, changes)
    return {
        "dangers": [
            {"kind": each.kind, "object": str(each.object), "message": each.message}
            for each in dangers(changes)
        ],
        "replaced": [
            {
                "object": str(each.object),
                "group": each.group,
                "reasons": list(each.reasons),
                "packages": list(map(str, each.packages)),
            }
            for each in replaced
        ],
        "replacedByTheNextImage": [
            {
                "set": each.image_set,
                "groups": list(each.groups),
                "packages": list(map(str, each.packages)),
            }
            for each in rollout.next_images(old, new, replaced)
        ],
        "changes": [
            {
                "object": str(each.object),
                "change": "changed"
                if each.old and each.new
                else "added"
                if each.new
                else "removed",
                "fields": [
                    {"path": list(field.path), "old": field.old, "new": field.new}
                    for field in each.fields
                ],
            }
            for each in changes
        ],
    }
