"""What exists in a cluster although no file here has it: built in, made by a chart, by hand.

A rule may call a name missing only where this knows everything that could bring it. What people
make by hand, or a node's image brings, site.yaml says:

    PROVIDED: Secret/flux-system/slack RuntimeClass/nvidia Namespace/team-*
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from harness.core.values import items, text
from harness.policy.facts.graph import SOURCES, chart
from harness.render.objects import Object
from harness.render.rendered import Environment

# What Kubernetes and the Flux operator bring, by kind. A name that ends in * is a beginning.
_BUILT_IN: dict[str, tuple[str, ...]] = {
    "ClusterRole": ("cluster-admin", "admin", "edit", "view", "system:*", "flux-*"),
    "ConfigMap": ("kube-root-ca.crt",),
    "GitRepository": ("flux-system",),  # the root sync, which the FluxInstance makes
    "Kustomization": ("flux-system",),
    "PriorityClass": ("system-*",),
    "Role": ("system:*", "extension-apiserver-authentication-reader"),
    "ServiceAccount": ("default",),
    "StorageClass": ("gp2",),  # of EKS, which no longer makes it the default
    # `harness bootstrap` makes the first; docs/workflows.md tells how to make the others.
    "Secret": ("git-credential", "github-commit-status", "github-dispatch"),
}
_NAMES = ("Group", "User")  # of RBAC: they are not objects
# Objects that make other objects: the kind, the kind that it makes, and where its name is.
_MAKES = (
    ("Certificate", "Secret", ("spec", "secretName")),
    ("ExternalSecret", "Secret", ("spec", "target", "name")),
    ("ExternalSecret", "Secret", ("metadata", "name")),
    ("SealedSecret", "Secret", ("metadata", "name")),
    ("VaultStaticSecret", "Secret", ("spec", "destination", "name")),
    ("Bundle", "ConfigMap", ("metadata", "name")),
    ("Canary", "Service", ("metadata", "name")),
    ("Canary", "Service", ("spec", "service", "name")),
    ("Canary", "Service", ("spec", "targetRef", "name")),
    ("Canary", "Deployment", ("spec", "targetRef", "name")),
    ("Canary", "ScaledObject", ("spec", "autoscalerRef", "name")),
)
_VARIANTS = ("", "-canary", "-primary")  # what Flagger appends
# The remote charts whose objects are known: which kinds without a namespace they bring.
_CHARTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("aws-load-balancer-controller", "cert-manager", "dcgm-exporter", "eck-operator"),
            *("envoy-gateway", "external-dns", "external-secrets", "flagger", "flux-operator"),
            *("gateway-helm", "karpenter", "keda", "kube-prometheus-stack", "metrics-server"),
            *("nvidia-device-plugin", "opentelemetry-collector", "prometheus-adapter"),
            "prometheus-operator-crds",
        ),
        ("ClusterRole",),
    ),
    "aws-ebs-csi-driver": ("ClusterRole", "CSIDriver", "StorageClass"),
    "aws-efs-csi-driver": ("ClusterRole", "CSIDriver", "StorageClass"),
}
# Kinds that a chart does not bring with a name that others rely on: Flux's own, the gateway's.
_OURS = (
    *("Alert", "HelmRelease", "Kustomization", "Provider", "Receiver", *SOURCES),
    *("Certificate", "EnvoyProxy", "Gateway", "GRPCRoute", "HTTPRoute"),
)
# Kinds without a namespace that a cluster of another kind than EKS may bring itself.
_OF_THE_CLUSTER = ("GatewayClass", "IngressClass", "StorageClass")
_ALIKE = 0.9  # of two names: one is the other, misspelt
_GIVEN = {"default", "flux-system", "kube-public", "kube-system"}


@dataclass(frozen=True)
class Origins:
    """What an environment has or may have, beyond the objects that were rendered."""

    environment: Environment

    def may_have(self, kind: str, name: str, namespace: str, by_hand: bool = False) -> bool:
        """Whether something outside the render may make an object.

        Args:
            kind: of the object.
            name: of the object.
            namespace: of the object; empty where its kind has none.
            by_hand: whether people make such an object with kubectl.
        """
        if self.has(kind, name, namespace):
            return True
        if by_hand:
            return not misspelt(name, self._names(kind))
        if namespace and namespace not in self.namespaces:
            # One of that name in a namespace that is declared is the one that is meant.
            is_here = kind == "Gateway" and self.environment.find(kind, name) is not None
            return not is_here and not misspelt(namespace, self.namespaces)
        if not namespace:
            brought = {kind for each in self.remote for kind in _CHARTS.get(chart(each), ())}
            return (
                kind in brought
                or self.has_unknown_chart
                or (kind in _OF_THE_CLUSTER and not self.is_eks)
            )
        return kind not in _OURS and self.is_opaque(namespace)

    def has(self, kind: str, name: str, namespace: str) -> bool:
        """Whether an object is there for sure: built in, made by another object, or provided."""
        subject = "/".join(filter(None, (kind, namespace, name)))
        return (
            kind in _NAMES
            or _is_listed(name, _BUILT_IN.get(kind, ()))
            or (kind, namespace, name) in self._made
            or (kind, "", name) in self._made
            or any(fnmatchcase(subject, each) for each in self.provided)
        )

    @cached_property
    def provided(self) -> list[str]:
        """What site.yaml says that the cluster has: KIND/NAME, or KIND/NAMESPACE/NAME."""
        site = self.environment.find("ConfigMap", "site", "flux-system")
        return text(site and site.value, "data", "PROVIDED").split()

    def is_opaque(self, namespace: str) -> bool:
        """Whether a namespace has pods and objects that no file here shows."""
        targets = {text(each.value, "spec", "targetNamespace") for each in self.remote}
        return namespace not in self.namespaces or namespace in targets | _GIVEN

    @cached_property
    def has_unknown_chart(self) -> bool:
        """Whether a remote chart is installed of which nobody knows what it brings."""
        return any(chart(each) not in _CHARTS for each in self.remote)

    @cached_property
    def namespaces(self) -> set[str]:
        """The namespaces that are declared, or that every cluster has."""
        provided = {each.removeprefix("Namespace/") for each in self.provided}
        return {each.name for each in self.environment.of("Namespace")} | _GIVEN | provided

    @cached_property
    def is_eks(self) -> bool:
        """Whether the cluster is EKS: what the cluster itself brings is known then."""
        return any(
            text(each.value, "spec", "cluster", "type") == "aws"
            for each in self.environment.of("FluxInstance")
        )

    @cached_property
    def remote(self) -> list[Object]:
        """The HelmReleases of charts that lie elsewhere."""
        return [
            each
            for each in self.environment.of("HelmRelease")
            if text(each.value, "spec", "chart", "spec", "sourceRef", "kind") != "GitRepository"
        ]

    @cached_property
    def _made(self) -> set[tuple[str, str, str]]:
        return {
            (kind, each.namespace, f"{name}{variant}")
            for maker, kind, path in _MAKES
            for each in self.environment.of(maker)
            if (name := text(each.value, *path))
            for variant in (_VARIANTS if maker == "Canary" else ("",))
        } | set(self._claims())

    def _claims(self) -> Iterator[tuple[str, str, str]]:
        """The claims of StatefulSets, one a pod."""
        for each in self.environment.of("StatefulSet"):
            count = each.dig("spec", "replicas")
            for template in items(each.value, "spec", "volumeClaimTemplates"):
                for number in range(count if isinstance(count, int) else 1):
                    name = f"{text(template, 'metadata', 'name')}-{each.name}-{number}"
                    yield "PersistentVolumeClaim", each.namespace, name

    def _names(self, kind: str) -> set[str]:
        """The names of a kind that are known, but for those that only begin so."""
        rendered = {each.name for each in self.environment.of(kind)}
        by_others = {name for of_kind, _, name in self._made if of_kind == kind}
        return rendered | by_others | set(_BUILT_IN.get(kind, ()))


def misspelt(name: str, names: set[str] | Sequence[str]) -> str:
    """The name of which another one is a misspelling; empty if it is none."""
    return next(iter(difflib.get_close_matches(name, sorted(names), 1, _ALIKE)), "")


def _is_listed(name: str, names: Sequence[str]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in names)
