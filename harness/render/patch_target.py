"""What the target of a kustomize patch is for."""

import re

from harness.core.values import Value, mapping, text

_IDENTITY = ("group", "version", "kind", "name", "namespace")


def fits(target: Value, candidate: Value) -> bool:
    """Whether a target is for an object, as Kustomize anchors its patterns.

    A selector of labels is only read where it is a list of equalities.
    """
    metadata = mapping(candidate, "metadata")
    group, _, version = text(candidate, "apiVersion").rpartition("/")
    identity = {
        "group": group,
        "version": version,
        "kind": text(candidate, "kind"),
        "name": text(metadata, "name"),
        "namespace": text(metadata, "namespace"),
    }
    if not identity["kind"] or identity["group"] == "kustomize.config.k8s.io":
        return False
    try:
        is_named = all(
            re.fullmatch(str(target[key]), identity[key]) for key in _IDENTITY if key in target
        )
    except re.error:  # Go's syntax has more
        return True
    labels = mapping(metadata, "labels")
    labels_to_match = re.findall(r"([^=,!\s]+)==?([^=,\s]+)", text(target, "labelSelector"))
    return is_named and all(labels.get(key) == value for key, value in labels_to_match)
