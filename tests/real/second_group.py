"""Another serving group of real pods: one pod with a model and a route of its own."""

import yaml

from harness.core.git import Changes
from harness.core.values import Value, items, text
from harness.kubernetes.api import Kind
from harness.local_cluster.real import release
from tests.real.pods import NAME, Pods

GROUP = MODEL = "second"
_APP = "apps/torchserve/local"
_ROUTE = "infra/gateway/configs/httproute.yaml"
_SECONDS = 60.0
_HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute")


def files(pods: Pods) -> Changes:
    """The files of the group, like the first one's, and its line in the list of groups."""
    bare, first, folder = pods.cluster.bare, f"{_APP}/{NAME}", f"{_APP}/{GROUP}"
    values = {"replicas": 1}
    like = release.files(pods.repository, pods.cluster, pods.images.digest, "1.0", values)
    overlay = yaml.safe_load(like[f"{first}/helmrelease.yaml"])
    overlay["metadata"]["name"] = overlay["spec"]["releaseName"] = GROUP
    for source in overlay["spec"]["valuesFrom"]:
        source["name"] = f"{GROUP}-snapshot"
    kustomization = yaml.safe_load(bare.read(f"{first}/kustomization.yaml"))
    kustomization["configMapGenerator"][0]["name"] = f"{GROUP}-snapshot"
    kustomization["resources"].append("httproute.yaml")
    groups = yaml.safe_load(bare.read(f"{_APP}/kustomization.yaml"))
    groups["resources"].append(GROUP)
    properties = like[f"{first}/config.properties"].replace(release.MODEL, MODEL)
    return {
        f"{folder}/helmrelease.yaml": yaml.safe_dump(overlay),
        f"{folder}/kustomization.yaml": yaml.safe_dump(kustomization),
        f"{folder}/httproute.yaml": yaml.safe_dump(_route(pods)),
        f"{folder}/model-files.yaml": like[f"{first}/model-files.yaml"],
        # The archive keeps its name: it is the same one.
        f"{folder}/config.properties": properties.replace(f"{MODEL}-1.0", f"{release.MODEL}-1.0"),
        f"{_APP}/kustomization.yaml": yaml.safe_dump(groups),
    }


def _route(pods: Pods) -> Value:
    route: Value = yaml.safe_load(pods.cluster.bare.read(_ROUTE))
    match = {"path": {"type": "PathPrefix", "value": f"/predictions/{MODEL}"}}
    backend = {"name": GROUP, "port": 8080}
    rules = [{"matches": [match], "backendRefs": [backend]}]
    spec = {"hostnames": [pods.entrance.host], "rules": rules}
    return {
        **route,
        "metadata": {"name": GROUP, "namespace": NAME},
        "spec": {**dict(route["spec"]), **spec},  # type: ignore[call-overload]
    }


def wait(pods: Pods) -> None:
    """Wait until the gateway has taken the group's route."""

    def is_accepted(routes: list[Value]) -> bool:
        return any(
            text(condition, "type") == "Accepted" and text(condition, "status") == "True"
            for route in routes
            if text(route, "metadata", "name") == GROUP
            for parent in items(route, "status", "parents")
            for condition in items(parent, "conditions")
        )

    pods.cluster.api.wait_for(_HTTP_ROUTE, is_accepted, seconds=_SECONDS, what="the route")
