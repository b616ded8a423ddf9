"""Certificates: clients trust who issued them."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import mapping, text
from harness.policy.project import Project
from harness.policy.rule import problem, rule
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
