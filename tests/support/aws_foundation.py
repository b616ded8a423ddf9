"""What moto lacks, or does wrong, of the services that an installation begins with (moto 5.2.5).

- eks: moto has no addons, no access entries and no pod identity associations; the shim keeps them.
- cloudformation CreateChangeSet: moto takes a name twice, and makes a second stack of its name.
- cloudformation ExecuteChangeSet: moto leaves the outputs out; an update with the same template
  brings them. Of this project's template moto ignores conditions in a change set, OIDC providers,
  bucket policies, and all of a bucket but its encryption.
- kms DescribeKey: moto cannot read the policy of a key that its CloudFormation has made.
"""

import collections
import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.aws_messages import Reply, Request, error


@dataclass
class Foundation:
    """The part of the shim that knows CloudFormation, KMS, and the parts of an EKS cluster."""

    _change_sets: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict, kw_only=True)
    _eks: dict[str, list[dict]] = field(
        default_factory=lambda: collections.defaultdict(list), kw_only=True
    )

    def forget(self) -> None:
        """Forget what moto does not keep."""
        self._change_sets.clear()
        self._eks.clear()

    def _forward(self, request: Request) -> Reply:
        """Ask moto."""
        raise NotImplementedError

    def _CreateChangeSet(self, request: Request) -> Reply:  # noqa: N802
        form = request.form
        key = form["StackName"], form["ChangeSetName"]
        if key in self._change_sets:
            return error(request, 400, "AlreadyExistsException")
        self._change_sets[key] = form
        return self._forward(request)

    def _DeleteChangeSet(self, request: Request) -> Reply:  # noqa: N802
        self._change_sets.pop((request.form["StackName"], request.form["ChangeSetName"]), None)
        return self._forward(request)

    def _ExecuteChangeSet(self, request: Request) -> Reply:  # noqa: N802
        change_set = self._change_sets.pop(
            (request.form["StackName"], request.form["ChangeSetName"])
        )
        reply = self._forward(request)
        again = urllib.parse.urlencode({**change_set, "Action": "UpdateStack"}).encode()
        self._beside(request, again)
        return reply

    def _DescribeKey(self, request: Request) -> Reply:  # noqa: N802
        policy = json.dumps({"Version": "2012-10-17", "Statement": []})
        body = {"KeyId": request.json["KeyId"], "PolicyName": "default", "Policy": policy}
        put = {"X-Amz-Target": "TrentService.PutKeyPolicy"}
        self._beside(request, json.dumps(body).encode(), put)
        return self._forward(request)

    def _beside(self, request: Request, body: bytes, headers: Mapping[str, str] = {}) -> None:
        """Make another request with the same credentials."""
        same = {n: v for n, v in request.headers.items() if n.lower() != "content-length"}
        self._forward(Request("POST", "/", {**same, **headers}, body, request.service, ""))

    def _part_of_cluster(
        self, request: Request, kind: str, listed: Callable[[dict], object]
    ) -> Reply:
        """A part of an EKS cluster that moto does not know: made by POST, listed by GET."""
        parts = self._eks[f"{request.path.split('?')[0]}"]
        if request.method == "POST":
            parts.append(request.json)
        answer = {kind: [listed(each) for each in parts]} if request.method == "GET" else {}
        return Reply(200, {"content-type": "application/json"}, json.dumps(answer).encode())

    def _CreateAddon(self, request: Request) -> Reply:  # noqa: N802
        return self._part_of_cluster(request, "addons", lambda part: part["addonName"])

    def _CreateAccessEntry(self, request: Request) -> Reply:  # noqa: N802
        return self._part_of_cluster(request, "accessEntries", lambda part: part["principalArn"])

    def _CreatePodIdentityAssociation(self, request: Request) -> Reply:  # noqa: N802
        return self._part_of_cluster(request, "associations", lambda part: part)

    def _DescribeAddon(self, request: Request) -> Reply:  # noqa: N802
        name = request.path.rpartition("/")[2]
        addon = {"addonName": name, "status": "ACTIVE", "addonVersion": "v1.2.3-eksbuild.1"}
        body = json.dumps({"addon": addon}).encode()
        return Reply(200, {"content-type": "application/json"}, body)

    _ListAddons = _CreateAddon
    _ListAccessEntries = _CreateAccessEntry
    _ListPodIdentityAssociations = _CreatePodIdentityAssociation
