"""What objects name: a catalog of references, and one walk that finds what each of them means.

for reference in references(environment):
    if reference.target is None and not reference.may_exist:
        yield reference.problem()

A name is only missed where everything that could make it was rendered: what a third-party chart, a
controller or a person may have made is unknown, and no problem.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.problem import Problem
from harness.core.values import Key, KeyPath, dig, leaves, mapping, text
from harness.policy.facts.origins import Origins, misspelt
from harness.policy.facts.pods import WORKLOADS, pod
from harness.policy.rule import problem
from harness.render.objects import Object
from harness.render.rendered import Environment

_OWN, _STATED, _CLUSTER = "own", "stated", "cluster"


@dataclass(frozen=True, slots=True)
class Form:
    """A place in objects that names another object.

    Attributes:
        sources: the kinds of object that have it.
        path: where it is; ``*`` is every item. Of a pod's places, below its spec.
        target: the kind that it names, where it does not say so itself by ``kind``.
        name: the key below ``path`` with the name; empty where ``path`` is the name itself.
        scope: where the named object lives: in the namespace of its source (``own``), in one that
            the reference may state (``stated``), or in none (``cluster``).
    """

    sources: tuple[str, ...]
    path: str
    target: str = ""
    name: str = "name"
    scope: str = _OWN


def _forms(sources: str, *rows: tuple[str, ...]) -> Iterator[Form]:
    """A form for each row: its path, and as much of the rest as differs from the defaults."""
    for row in rows:
        yield Form(tuple(sources.split()), *row)


_POD = ("pod",)
_CONTAINERS = ("containers.*", "initContainers.*")
_POLICIES = "SecurityPolicy BackendTrafficPolicy ClientTrafficPolicy EnvoyExtensionPolicy"

CATALOG: tuple[Form, ...] = (
    *_forms(
        "pod",
        ("volumes.*.configMap", "ConfigMap"),
        ("volumes.*.secret", "Secret", "secretName"),
        ("volumes.*.persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        ("volumes.*.projected.sources.*.configMap", "ConfigMap"),
        ("volumes.*.projected.sources.*.secret", "Secret"),
        *(
            (f"{containers}.{path}", kind)
            for containers in _CONTAINERS
            for path, kind in (
                ("env.*.valueFrom.configMapKeyRef", "ConfigMap"),
                ("env.*.valueFrom.secretKeyRef", "Secret"),
                ("envFrom.*.configMapRef", "ConfigMap"),
                ("envFrom.*.secretRef", "Secret"),
            )
        ),
        ("imagePullSecrets.*", "Secret"),
        ("serviceAccountName", "ServiceAccount", ""),
        ("priorityClassName", "PriorityClass", "", _CLUSTER),
        ("runtimeClassName", "RuntimeClass", "", _CLUSTER),
    ),
    *_forms("PersistentVolumeClaim", ("spec.volumeName", "PersistentVolume", "", _CLUSTER)),
    *_forms(
        "RoleBinding ClusterRoleBinding",
        ("roleRef",),
        ("subjects.*", "", "name", _STATED),
    ),
    *_forms("HorizontalPodAutoscaler", ("spec.scaleTargetRef",)),
    *_forms("ScaledObject", ("spec.scaleTargetRef", "Deployment")),
    *_forms("Canary", ("spec.targetRef",), ("spec.autoscalerRef",)),
    *_forms(
        "HTTPRoute GRPCRoute",
        ("spec.parentRefs.*", "Gateway", "name", _STATED),
        ("spec.rules.*.backendRefs.*", "Service", "name", _STATED),
        ("spec.rules.*.filters.*.requestMirror.backendRef", "Service", "name", _STATED),
    ),
    *_forms(_POLICIES, ("spec.targetRefs.*",), ("spec.targetRef",)),
    *_forms(
        "Gateway",
        ("spec.gatewayClassName", "GatewayClass", "", _CLUSTER),
        ("spec.infrastructure.parametersRef",),
    ),
    *_forms("GatewayClass", ("spec.parametersRef", "", "name", _STATED)),
    *_forms(
        "EnvoyProxy",
        ("spec.telemetry.tracing.provider.backendRefs.*", "Service", "name", _STATED),
        ("spec.telemetry.metrics.sinks.*.openTelemetry.backendRefs.*", "Service", "name", _STATED),
        (
            "spec.telemetry.accessLog.settings.*.sinks.*.openTelemetry.backendRefs.*",
            "Service",
            "name",
            _STATED,
        ),
    ),
    *_forms("Certificate", ("spec.issuerRef", "Issuer")),
    *_forms(
        "Ingress",
        ("spec.rules.*.http.paths.*.backend.service", "Service"),
        ("spec.ingressClassName", "IngressClass", "", _CLUSTER),
        ("spec.tls.*", "Secret", "secretName"),
    ),
    *_forms("ServiceAccount", ("imagePullSecrets.*", "Secret")),
    *_forms(
        "SecurityPolicy",
        ("spec.apiKeyAuth.credentialRefs.*", "Secret", "name", _STATED),
        ("spec.basicAuth.users", "Secret", "name", _STATED),
        ("spec.oidc.clientSecret", "Secret", "name", _STATED),
    ),
    *_forms("ExternalSecret", ("spec.secretStoreRef", "SecretStore")),
    *_forms(
        "Kustomization",
        ("spec.sourceRef", "", "name", _STATED),
        ("spec.dependsOn.*", "Kustomization"),
        ("spec.healthChecks.*", "", "name", _STATED),
        ("spec.decryption.secretRef", "Secret"),
    ),
    *_forms("Kustomization HelmRelease", ("spec.serviceAccountName", "ServiceAccount", "")),
    *_forms(
        "HelmRelease",
        ("spec.chart.spec.sourceRef", "", "name", _STATED),
        ("spec.chartRef", "", "name", _STATED),
        ("spec.dependsOn.*", "HelmRelease"),
    ),
    *_forms(
        "Alert",
        ("spec.providerRef", "Provider"),
        ("spec.eventSources.*", "", "name", _STATED),
    ),
    *_forms("Provider", ("spec.secretRef", "Secret"), ("spec.certSecretRef", "Secret")),
    *_forms(
        "Receiver",
        ("spec.resources.*", "", "name", _STATED),
        ("spec.secretRef", "Secret"),
    ),
    *_forms(
        "GitRepository OCIRepository HelmRepository Bucket",
        ("spec.secretRef", "Secret"),
        ("spec.verify.secretRef", "Secret"),
    ),
    *_forms("FluxInstance", ("spec.sync.pullSecret", "Secret", "")),
    *_forms("StatefulSet", ("spec.serviceName", "Service", "")),
)

# Keys that charts call by one name everywhere, and the kind that the text below them names.
_IN_VALUES = {
    "ingressClassName": "IngressClass",
    "priorityClassName": "PriorityClass",
    "runtimeClassName": "RuntimeClass",
    "storageClassName": "StorageClass",
    "watchNamespace": "Namespace",
}


@dataclass(frozen=True)
class Reference:
    """A name in an object, and what it means.

    Attributes:
        path: leads to the name.
        around: leads to what the name stands in: the same, where the name stands alone.
        namespace: where the named object is looked for; empty for the whole cluster.
        target: the object; None if none of that name was rendered.
    """

    source: Object
    path: KeyPath
    around: KeyPath
    kind: str
    name: str
    namespace: str
    target: Object | None
    origins: Origins

    @property
    def is_optional(self) -> bool:
        return dig(self.source.value, *self.around, "optional") is True

    @property
    def is_missing(self) -> bool:
        """Whether it is certain that nothing makes what is named."""
        return (
            self.target is None
            and not self.is_optional
            and not self.origins.may_have(self.kind, self.name, self.namespace, self._by_hand)
        )

    @property
    def is_unknown(self) -> bool:
        """Whether nothing here makes what is named, and something that is not here may."""
        elsewhere = self.namespace and self.namespace not in self.origins.namespaces
        return (
            self.target is None
            and not self.is_optional
            and bool(self._by_hand or elsewhere)
            and not self.is_missing
            and not self.origins.has(self.kind, self.name, self.namespace)
        )

    @property
    def _by_hand(self) -> bool:
        """Whether people make what is named, outside Git: Flux's credentials, a gateway's keys."""
        of_a_program = self.source.kind in WORKLOADS and "imagePullSecrets" not in self.path
        return self.kind == "RuntimeClass" or (
            self.kind in ("Secret", "ServiceAccount") and not of_a_program
        )

    @property
    def described(self) -> str:
        """What is named, as site.yaml would say that it is provided."""
        return "/".join(filter(None, (self.kind, self.namespace, self.name)))

    def problem(self) -> Problem:
        """That it is missing, and what is meant if that can be told."""
        message = f"there is no {self.kind} {self.name}"
        candidates = list(self.origins.environment.of(self.kind))
        near = [each.name for each in candidates if each.namespace in ("", self.namespace)]
        if elsewhere := next((each for each in candidates if each.name == self.name), None):
            message += f" in {self.namespace}: it is in {elsewhere.namespace}"
        elif meant := closest(self.name, near):
            # Where it is only the one that there is, a person decides.
            to = meant if misspelt(self.name, near) else None
            return problem(self.source, f"{message}; {meant} is meant?", *self.path, to=to)
        return problem(self.source, message, *self.path)


def references(environment: Environment) -> Iterator[Reference]:
    """Every reference of an environment's own objects."""
    origins = Origins(environment)
    yield from _of_values(environment, origins)
    for form in CATALOG:
        for source, base in _sources(environment, form):
            root = dig(source.value, *base)
            for place in _expand(root, tuple(form.path.split("."))):
                around = (*base, *place)
                path = (*around, form.name) if form.name else around
                name = text(source.value, *path)
                stated = mapping(source.value, *around)
                kind = text(stated, "kind") or form.target
                if not name or name == "*" or not kind:
                    continue
                namespace = source.namespace
                if form.scope == _CLUSTER or kind.startswith("Cluster"):
                    namespace = ""
                elif form.scope == _STATED:
                    namespace = text(stated, "namespace") or namespace
                target = _find(environment, kind, name, namespace)
                yield Reference(source, path, around, kind, name, namespace, target, origins)


def _of_values(environment: Environment, origins: Origins) -> Iterator[Reference]:
    """What the values of third-party charts name: of the others the objects are rendered."""
    for release in origins.remote:
        for path, named in leaves(release.dig("spec", "values"), ("spec", "values")):
            kind, around = _IN_VALUES.get(str(path[-1]), ""), path
            namespace = ""
            if path[-3:-2] == ("imagePullSecrets",) and path[-1] == "name":
                kind, around = "Secret", path[:-1]
                namespace = text(release.value, "spec", "targetNamespace")
            if kind and isinstance(named, str) and named:
                target = _find(environment, kind, named, namespace)
                yield Reference(release, path, around, kind, named, namespace, target, origins)


def _find(environment: Environment, kind: str, name: str, namespace: str) -> Object | None:
    """The object of that name in the namespace, or one whose kind has none."""
    for each in environment.of(kind):
        if each.name == name and each.namespace in ("", namespace):
            return each
    return None


def _sources(environment: Environment, form: Form) -> Iterator[tuple[Object, KeyPath]]:
    """The objects that have a form, each with the path below which it is."""
    if form.sources == _POD:
        for owner in environment.of(*WORKLOADS):
            yield owner, (*pod(owner).path, "spec")
    else:
        for each in environment.of(*form.sources):
            # Kustomize's own Kustomization is not an object of a cluster.
            yield each, ()


def _expand(root: object, keys: tuple[str, ...]) -> Iterator[KeyPath]:
    """The paths below ``root`` that a pattern stands for, those that exist."""
    if not keys:
        yield ()
        return
    key, *rest = keys
    present: list[Key] = []
    if key == "*":
        present = list(range(len(root))) if isinstance(root, list) else []
    elif isinstance(root, dict) and key in root:
        present = [key]
    for each in present:
        for below in _expand(dig(root, each), tuple(rest)):
            yield (each, *below)


def closest(name: str, names: list[str]) -> str:
    """The name that was probably meant: one like it, or the only one; empty if nobody can know."""
    if len(set(names)) == 1:
        return names[0]
    return misspelt(name, names)
