"""What a reviewer must not miss in a rendered difference."""

from pathlib import Path

import pytest

from harness.core.errors import Location
from harness.core.values import Value
from harness.render.diff import as_markdown, compare, dangers
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment

OWNER = Owner("Kustomization", "flux-system", "apps")


def _environment(*values: Value) -> Environment:
    objects = tuple(
        Object(each, OWNER, lambda *_: Location(Path("file.yaml"), 1)) for each in values
    )
    return Environment("demo", "candidate", objects)


def _object(kind: str, **fields: object) -> Value:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, **fields}


def _pod(**security: object) -> Value:
    return _object("Pod", spec={"containers": [{"name": "a", "securityContext": security}]})


def _namespace(level: str) -> Value:
    labels = {"pod-security.kubernetes.io/enforce": level}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x", "labels": labels}}


def _role(*verbs: str) -> Value:
    return _object("Role", rules=[{"verbs": list(verbs), "resources": ["pods"]}])


def _claim(size: str, name: str = "a") -> Value:
    spec = {"resources": {"requests": {"storage": size}}, "storageClassName": name}
    return _object("PersistentVolumeClaim", spec=spec)


def _job(image: str, *, hook: bool = False) -> Value:
    annotations = {"helm.sh/hook": "pre-install"} if hook else {}
    metadata = {"name": "x", "annotations": annotations}
    spec = {"template": {"spec": {"containers": [{"name": "a", "image": image}]}}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


CASES = {
    "claim removed": ([_claim("5Gi")], [], ["removed"]),
    "namespace removed": ([_namespace("restricted")], [], ["removed"]),
    "service removed": ([_object("Service")], [], []),
    "role widened": ([_role("get")], [_role("get", "delete")], ["rbac"]),
    "role removed": ([_role("get")], [], []),
    "privileged": ([_pod(privileged=False)], [_pod(privileged=True)], ["privileged"]),
    "privileged from the start": ([], [_pod(privileged=True)], ["privileged"]),
    "no longer privileged": ([_pod(privileged=True)], [_pod(privileged=False)], []),
    "pod security falls": ([_namespace("restricted")], [_namespace("baseline")], ["privileged"]),
    "pod security rises": ([_namespace("baseline")], [_namespace("restricted")], []),
    "class changes": ([_claim("5Gi")], [_claim("5Gi", "b")], ["immutable"]),
    "a job changes": ([_job("a")], [_job("b")], ["immutable"]),
    "a hook changes": ([_job("a", hook=True)], [_job("b", hook=True)], []),
    "size grows": ([_claim("5Gi")], [_claim("9Gi")], []),
    "host path": (
        [_object("Pod", spec={})],
        [_object("Pod", spec={"volumes": [{"name": "v", "hostPath": {"path": "/"}}]})],
        ["privileged"],
    ),
    "suspended": (
        [_object("HelmRelease", spec={})],
        [_object("HelmRelease", spec={"suspend": True})],
        ["stopped"],
    ),
    "nothing": ([_pod()], [_pod()], []),
}


@pytest.mark.parametrize(("old", "new", "kinds"), CASES.values(), ids=CASES.keys())
def test_dangers(old: list[Value], new: list[Value], kinds: list[str]) -> None:
    warnings = dangers(compare(_environment(*old), _environment(*new)))
    assert [each.kind for each in warnings] == kinds


def test_the_charts_version_label_is_no_difference() -> None:
    old, new = (
        {**_pod(), "metadata": {"name": "x", "labels": {"helm.sh/chart": f"web-{version}"}}}
        for version in (1, 2)
    )
    assert compare(_environment(old), _environment(new)) == []


def test_of_a_text_only_the_lines_that_differ_are_shown() -> None:
    old, new = (_object("ConfigMap", data={"a": f"one\n{word}\nthree\n"}) for word in ("two", "2"))
    shown = as_markdown(_environment(old), _environment(new))
    assert "      -two\n      +2\n" in shown
    assert "one" not in shown
