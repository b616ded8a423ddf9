"""Resources that roles and admission policies name: an API has them, in its own spelling."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import KeyPath, items
from harness.policy.rule import problem, rule
from harness.policy.rules.admission import POLICY
from harness.render.rendered import Environment

# The resources of APIs that every cluster here has, by group; of another group nothing is known.
# https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/
_RESOURCES = {
    "": "bindings configmaps endpoints events limitranges namespaces nodes persistentvolumeclaims "
    "persistentvolumes pods podtemplates replicationcontrollers resourcequotas secrets "
    "serviceaccounts services",
    "apps": "controllerrevisions daemonsets deployments replicasets statefulsets",
    "batch": "cronjobs jobs",
    "autoscaling": "horizontalpodautoscalers",
    "networking.k8s.io": "ingressclasses ingresses ipaddresses networkpolicies servicecidrs",
    "policy": "poddisruptionbudgets",
    "rbac.authorization.k8s.io": "clusterrolebindings clusterroles rolebindings roles",
    "storage.k8s.io": "csidrivers csinodes csistoragecapacities storageclasses volumeattachments "
    "volumeattributesclasses",
    "gateway.networking.k8s.io": "backendtlspolicies gatewayclasses gateways grpcroutes httproutes "
    "listenersets referencegrants tcproutes tlsroutes udproutes",
    "helm.toolkit.fluxcd.io": "helmreleases",
    "kustomize.toolkit.fluxcd.io": "kustomizations",
    "notification.toolkit.fluxcd.io": "alerts providers receivers",
    "source.toolkit.fluxcd.io": "buckets externalartifacts gitrepositories helmcharts "
    "helmrepositories ocirepositories",
}


@rule(
    "admission/resources",
    why="a rule that names a resource which no API has matches nothing: a policy lets everything "
    "in, a role grants nothing",
    fix="write the resource as its API does, in lower case and plural: pods, not pod or Pod",
    references=("https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris",),
)
def resources_exist(environment: Environment) -> Iterator[Problem]:
    for item in environment.of(POLICY, "Role", "ClusterRole"):
        path: KeyPath = ("rules",)
        if item.kind == POLICY:
            path = ("spec", "matchConstraints", "resourceRules")
        for at, granted in enumerate(items(item.value, *path)):
            groups = [str(group) for group in items(granted, "apiGroups")]
            known = {name for group in groups for name in _RESOURCES.get(group, "").split()}
            is_known = bool(groups) and all(group in _RESOURCES for group in groups)
            for index, resource in enumerate(items(granted, "resources")) if is_known else ():
                name = str(resource).partition("/")[0]
                if name != "*" and name not in known:
                    of = " or ".join(group or "the core API" for group in groups)
                    message = f"{of} has no resource {name}"
                    plural = next(
                        (one for one in (f"{name.lower()}s", name.lower()) if one in known), ""
                    )
                    to = str(resource).replace(name, plural, 1) if plural else None
                    yield problem(item, message, *path, at, "resources", index, to=to)
