"""What the workflows' group may do, asked of a real API server as `auth can-i` asks."""

from dataclasses import dataclass

from harness.core.values import dig
from harness.kubernetes.api import Api


@dataclass(frozen=True)
class Attempt:
    """A verb on a resource (with its subresource); everywhere where no namespace is said."""

    verb: str
    resource: str
    namespace: str = ""
    group: str = ""
    name: str = ""

    def is_allowed(self, cluster: Api) -> bool:
        resource, _, part = self.resource.partition("/")
        attributes = {
            "verb": self.verb,
            "resource": resource,
            "subresource": part,
            "namespace": self.namespace,
            "group": self.group,
            "name": self.name,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "workflow",
                "groups": ["torchserve:smoke", "system:authenticated"],
                "resourceAttributes": attributes,
            },
        }
        return dig(cluster.create(review), "status", "allowed") is True
