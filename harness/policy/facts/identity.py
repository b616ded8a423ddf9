"""What is an environment's own: its name in what is written for it, and ids no other one shares."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.core.problem import Location
from harness.core.values import Key, KeyPath, dig, items, leaves, text
from harness.core.yamlfile import Document
from harness.policy.facts.site import without
from harness.policy.project import Project
from harness.render.rendered import Environment

OWN_KEYS = {
    "site.yaml": (
        ("data", "MODEL_BUCKET"),
        ("data", "EFS_FILE_SYSTEM_ID"),
        ("data", "EFS_LOADER_ACCESS_POINT_ID"),
        ("data", "EFS_SERVER_ACCESS_POINT_ID"),
    ),
    "eksctl.yaml": (
        ("accessConfig", "accessEntries", 1, "principalARN"),
        ("iam", "podIdentityAssociations", 0, "permissionPolicyARNs", 0),
        ("iam", "podIdentityAssociations", 1, "permissionPolicyARNs", 0),
        ("secretsEncryption", "keyARN"),
    ),
    "efs.yaml": (("fileSystem",),),
}

# Of free text and of what is one for all environments: a name in it says nothing.
_FREE = {"ACME_EMAIL", "GIT_URL", "address", "description", "from", "message", "reason", "summary"}
# Words that paths, hosts and storage classes have of their own, such as /dev/shm or cluster.local.
_ORDINARY = {"base", "default", "demo", "dev", "local", "main", "shared", "system", "test"}
_MANAGED = ":iam::aws:policy/"  # policies that AWS has made for everybody
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Names:
    """The environments' names, for whoever looks for them in values."""

    environments: tuple[str, ...]

    def foreign(self, env: str, content: str) -> str:
        """The other environment that a text of ``env`` names as a whole word; empty if none.

        ``production-eu`` does not name ``production``, nor ``torchserve-staging`` an environment
        called ``stag``.
        """
        rest = content
        for name in sorted(self.environments, key=len, reverse=True):
            pattern = rf"(?i)(?<![a-z0-9]){re.escape(name)}(?![a-z0-9])"
            if name.casefold() in _ORDINARY:
                # Only where it is the folder of an environment, or what is called after one.
                pattern = rf"(?<![a-z0-9])(?:clusters|torchserve)[/-]{re.escape(name)}(?![a-z0-9])"
            if name == env:
                rest = re.sub(pattern, " ", rest)
            elif re.search(pattern, rest):
                return name
        return ""


def with_own_name(content: str, other: str, env: str) -> str:
    """A text with one environment's name where another's is, whole words alone."""
    return re.sub(rf"(?i)(?<![a-z0-9]){re.escape(other)}(?![a-z0-9])", env, content)


def foreign_values(
    document: Document, env: str, names: Names
) -> Iterator[tuple[str, str, Location]]:
    """What names another environment: that one, the text, and its place."""
    for path, block in leaves(document.value):
        keys = [key for key in path if isinstance(key, str)]
        if not isinstance(block, str) or (keys and keys[-1] in _FREE):
            continue
        for offset, line in enumerate(block.splitlines()):
            written = line.partition(" #")[0].strip()
            if not written.startswith("#") and (other := names.foreign(env, written)):
                at = document.at(path)
                if "\n" in block:  # its text begins on the line after its key
                    at = Location(at.path, (at.line or 1) + offset + 1)
                yield other, written, at


@dataclass(frozen=True, slots=True)
class Claim:
    """An id that is an environment's own: what it is called, and where it is written."""

    what: str
    at: Location


def claims(project: Project, environment: Environment) -> Mapping[str, Claim]:
    """Everything that no other environment may have, by its value; what is UNSET is left out."""
    claimed = dict(_written_claims(project, environment.name))
    for what, identifier, at in _rendered_claims(environment):
        expression = without(environment)(identifier)
        variables = _VARIABLE.findall(expression)
        raw = site(project, environment.name)
        known = all(
            text(raw and raw.value, "data", name) not in ("", "UNSET") for name in variables
        )
        if known and identifier not in claimed:
            single = len(variables) == 1 and raw is not None
            # What a variable decides is corrected where that has its value.
            claimed[identifier] = Claim(
                what, raw.at(("data", variables[0])) if single and raw else at
            )
    return claimed


def site(project: Project, env: str) -> Document | None:
    """An environment's site.yaml as it is written, placeholders not put in."""
    return next(iter(project.documents(f"clusters/{env}/site.yaml")), None)


def _written_claims(project: Project, env: str) -> Iterator[tuple[str, Claim]]:
    for file, paths in OWN_KEYS.items():
        for document in project.documents(f"clusters/{env}/{file}"):
            for path in paths:
                identifier = text(document.value, *path)
                if identifier and identifier != "UNSET" and _MANAGED not in identifier:
                    yield identifier, Claim(_last_key(path), document.at(path))
    for document in project.documents(f"clusters/{env}/eksctl.yaml"):
        settings = site(project, env)
        account = str(dig(settings and settings.value, "data", "AWS_ACCOUNT_ID") or "UNSET")
        region, name = (text(document.value, "metadata", key) for key in ("region", "name"))
        if account != "UNSET" and name:
            claim = Claim("the cluster", document.at(("metadata", "name")))
            yield f"{name} in {region} of {account}", claim


def _last_key(path: KeyPath) -> str:
    return next(str(key) for key in reversed(path) if isinstance(key, str))


def _rendered_claims(environment: Environment) -> Iterator[tuple[str, str, Location]]:
    for route in environment.of("HTTPRoute", "GRPCRoute", "TLSRoute"):
        for index, host in enumerate(items(route.value, "spec", "hostnames")):
            yield "the host name", str(host), route.at("spec", "hostnames", index)
    for policy in environment.of("SecurityPolicy"):
        for number, provider in enumerate(items(policy.value, "spec", "jwt", "providers")):
            where: tuple[Key, ...] = ("spec", "jwt", "providers", number, "audiences")
            for index, audience in enumerate(items(provider, "audiences")):
                yield "the audience of tokens", str(audience), policy.at(*where, index)
    yield from _hosted_zones(environment)
    for volume in environment.of("PersistentVolume"):
        handle = text(volume.value, "spec", "csi", "volumeHandle")
        if handle and not handle.startswith("efs:${"):
            yield "the volume", handle, volume.at("spec", "csi", "volumeHandle")


def _hosted_zones(environment: Environment) -> Iterator[tuple[str, str, Location]]:
    for issuer in environment.of("ClusterIssuer", "Issuer"):
        for index in range(len(items(issuer.value, "spec", "acme", "solvers"))):
            zone = ("spec", "acme", "solvers", index, "dns01", "route53", "hostedZoneID")
            identifier = text(issuer.value, *zone)
            # One that is written for all environments holds the domains of all.
            if "${" in without(environment)(identifier):
                yield "the hosted zone", identifier, issuer.at(*zone)
