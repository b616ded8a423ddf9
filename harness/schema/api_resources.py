"""The resources of the API: what roles and admission policies call the kinds that have a schema."""

from pathlib import Path

# Resources without a kind: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
# and the signers of certificates.
_VIRTUAL = {
    "": {"groups", "users"},
    "authentication.k8s.io": {"uids", "userextras"},
    "certificates.k8s.io": {"signers"},
}


def resources(schemas: Path) -> dict[str, set[str]]:
    """The plurals of each API group, the core group being ``""``.

    A schema's file knows the kind alone, so a kind may have more than one plural here.

    Args:
        schemas: the folder of schemas: ``deployment-apps-v1.json``.
    """
    known = {group: set(names) for group, names in _VIRTUAL.items()}
    for path in schemas.glob("*.json"):
        kind, group, version = path.stem.rsplit("-", 2)
        known.setdefault("" if group == version else group, set()).update(plurals(kind))
    return known


def plurals(kind: str) -> set[str]:
    """What the plural of a kind may be, as Kubernetes builds and people write them."""
    kind = kind.lower()
    if kind.endswith("s"):
        return {kind, f"{kind}es"} if kind.endswith("ts") else {f"{kind}es"}
    return {f"{kind[:-1]}ies", f"{kind}s"} if kind.endswith("y") else {f"{kind}s"}
