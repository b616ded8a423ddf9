"""What has to be there first: CRDs that something installs, and the controllers of their kinds."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.core.fix import APPEND
from harness.core.problem import Problem
from harness.core.values import KeyPath, items, text
from harness.policy.facts.graph import chart
from harness.policy.rule import problem, rule, set_to
from harness.render.rendered import Environment


@dataclass(frozen=True, slots=True)
class _Crds:
    """How a chart brings CRDs.

    Attributes:
        groups: the API groups of its kinds.
        values: the values that switch them on, each with what holds where nobody sets it; none
            where they are in the chart's folder crds/, which helm-controller installs.
    """

    groups: tuple[str, ...]
    values: tuple[tuple[KeyPath, bool], ...] = ()


_GATEWAY = _Crds(("gateway.networking.k8s.io", "gateway.envoyproxy.io"))
_CHARTS = {
    "cert-manager": _Crds(
        ("cert-manager.io",), ((("crds", "enabled"), False), (("installCRDs",), False))
    ),
    "envoy-gateway": _GATEWAY,
    "gateway-helm": _GATEWAY,
    "flagger": _Crds(("flagger.app",), ((("crd", "create"), True),)),
    "karpenter": _Crds(("karpenter.sh", "karpenter.k8s.aws")),
    "keda": _Crds(("keda.sh",), ((("crds", "install"), True),)),
    "kube-prometheus-stack": _Crds(("monitoring.coreos.com",), ((("crds", "enabled"), True),)),
}
# Charts of CRDs alone, which some of these charts leave it to.
_CRDS_ALONE = (
    "cert-manager-crds",
    "gateway-crds-helm",
    "karpenter-crd",
    "prometheus-operator-crds",
)


@rule(
    "flux/crds",
    why="an object whose CRD nobody installs is refused; CRDs that are never upgraded "
    "refuse what the next version of their chart writes",
    fix="switch the CRDs on in the chart's values; where they lie in its folder crds/, set "
    "install.crds and upgrade.crds to CreateReplace (helm-controller's default skips them in an "
    "upgrade)",
    references=("https://fluxcd.io/flux/components/helm/helmreleases/#crds",),
)
def crds_arrive(environment: Environment) -> Iterator[Problem]:
    used = {each.group for each in environment.objects}
    others = any(chart(each) in _CRDS_ALONE for each in environment.of("HelmRelease"))
    rendered = {
        text(each.value, "spec", "group") for each in environment.of("CustomResourceDefinition")
    }
    for release in environment.of("HelmRelease"):
        brought = _CHARTS.get(chart(release))
        if not brought or others or not used & set(brought.groups) - rendered:
            continue
        for action in () if brought.values else ("install", "upgrade"):
            default = "Create" if action == "install" else "Skip"
            where = ("spec", action, "crds")
            if (text(release.value, *where) or default) == "Skip":
                message = f"its CRDs are skipped in an {action}"
                yield problem(release, message, *where, to="CreateReplace")
        settings = [
            each if isinstance(each := release.dig("spec", "values", *path), bool) else default
            for path, default in brought.values
        ]
        if settings and not any(settings):
            path = brought.values[0][0]
            message = f"nothing brings the kinds of {brought.groups[0]}, which objects here use"
            yield problem(release, message, "spec", "values", *path, to=True)


_COMPONENTS = {
    "source-controller": ("GitRepository", "OCIRepository", "HelmRepository", "Bucket"),
    "kustomize-controller": ("Kustomization",),
    "helm-controller": ("HelmRelease",),
    "notification-controller": ("Alert", "Provider", "Receiver"),
    "image-reflector-controller": ("ImageRepository", "ImagePolicy"),
    "image-automation-controller": ("ImageUpdateAutomation",),
}


@rule(
    "flux/components",
    why="without a controller its kinds are not installed: what applies such an object fails, and "
    "everything that waits for it",
    fix="add the controller to spec.components of the FluxInstance, or remove its objects",
)
def controllers_run(environment: Environment) -> Iterator[Problem]:
    for instance in environment.of("FluxInstance"):
        components = items(instance.value, "spec", "components")
        for component, kinds in _COMPONENTS.items() if components else ():
            objects = [each for each in environment.of(*kinds) if "fluxcd" in each.group]
            if objects and component not in components:
                message = f"{objects[0]} needs {component}, which is not among them"
                where = ("spec", "components")
                fix = set_to(instance, component, *where, APPEND)
                yield problem(instance, message, *where, fix=fix)
