"""Certificates: clients trust who issued them."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.facts.pods import selects
from harness.policy.facts.site import without
from harness.policy.project import Project
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

# What the hosts of test authorities have in their names, and the trusted ones instead:
# Let's Encrypt's, Google's and Buypass's.
_TESTS = (
    ("acme-staging-v02.api.letsencrypt", "acme-v02.api.letsencrypt"),
    (".test-api.pki.goog", ".api.pki.goog"),
    (".test4.buypass.no", ".buypass.com"),
)
_HOST = re.compile(r"https?://([^/:]+)")
_ANNOTATIONS = ("cert-manager.io/cluster-issuer", "cert-manager.io/issuer")


@rule(
    "gateway/trusted-certificate",
    why="a certificate of a test authority is one that no client trusts: every request ends at its "
    "TLS handshake",
    fix="the authority's own directory, such as https://acme-v02.api.letsencrypt.org/directory; an "
    "Issuer for tries may stay next to it, while no certificate names it",
)
def trusted_certificate(project: Project) -> Iterator[Problem]:
    for env in project.sources.keys() & project.environments.keys():
        environment = project.environments[env]
        used = set(_issuers(environment))
        for issuer in environment.of("ClusterIssuer", "Issuer"):
            server = text(issuer.value, "spec", "acme", "server")
            host = _HOST.match(server)
            for part, trusted in _TESTS:
                if issuer.name in used and host and part in host[1]:
                    message = f"{env}'s certificates are of {host[1]}, for tests alone"
                    directory = server.replace(part, trusted)
                    yield problem(issuer, message, "spec", "acme", "server", to=directory)


def _issuers(environment: Environment) -> Iterator[str]:
    for certificate in environment.of("Certificate"):
        yield text(certificate.value, "spec", "issuerRef", "name")
    for subject in environment.of("Gateway", "Ingress"):
        annotations = mapping(subject.value, "metadata", "annotations")
        yield from (text(annotations, name) for name in _ANNOTATIONS)


@rule(
    "gateway/domain-proved",
    why="a certificate authority asks for a proof of each name: where no solver of the issuer is "
    "for that name, no certificate ever comes, and the gateway has none to show",
    fix="let a solver's dnsZones hold the domain (${DOMAIN}), or give one no selector: it is for "
    "every name",
    references=("https://cert-manager.io/docs/configuration/acme/#adding-multiple-solver-types",),
)
def solvers_cover_the_names(environment: Environment) -> Iterator[Problem]:
    for certificate in environment.of("Certificate"):
        reference = mapping(certificate.value, "spec", "issuerRef")
        kind = text(reference, "kind") or "Issuer"
        namespace = certificate.namespace if kind == "Issuer" else ""
        issuer = environment.find(kind, text(reference, "name"), namespace)
        solvers = items(issuer and issuer.value, "spec", "acme", "solvers")
        names = [str(each) for each in items(certificate.value, "spec", "dnsNames")]
        bare = [
            name
            for name in names
            if not any(_solves(dig(each, "selector"), name, certificate) for each in solvers)
        ]
        if issuer and solvers and bare and not _is_unknown(environment, solvers):
            where = ("spec", "acme", "solvers", 0, "selector")
            key = next((key for key in _SELECTED if issuer.dig(*where, key)), "")
            message = f"no solver is for {bare[0]} of {certificate}"
            yield problem(issuer, message, *where, *([key] if key else []))


_SELECTED = ("dnsZones", "dnsNames", "matchLabels")


def _solves(selector: object, name: str, certificate: Object) -> bool:
    """Whether a solver is for a name: each part of its selector that is there has to fit."""
    zones, listed = (list(map(str, items(selector, key))) for key in _SELECTED[:2])
    in_zone = any(name == zone or name.endswith(f".{zone}") for zone in zones)
    return (
        (in_zone or not zones)
        and (name in listed or not listed)
        and selects({"matchLabels": mapping(selector, "matchLabels")}, certificate.labels)
    )


def _is_unknown(environment: Environment, solvers: list[object]) -> bool:
    """Whether the domain is still UNSET, and the solvers name one that is written out."""
    if not any(each.key.endswith("DOMAIN") for each in environment.unset):
        return False
    zones = [str(zone) for each in solvers for zone in items(each, "selector", "dnsZones")]
    return not any("${" in without(environment)(zone) for zone in zones)
