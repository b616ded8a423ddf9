"""What the API server's own code says offline: of objects, of changes to them, and of pods."""

from pathlib import Path

import pytest

from harness import tools
from harness.core import yamlfile
from harness.core.problem import Location
from harness.core.repository import Repository
from harness.core.values import KeyPath, Value
from harness.render.objects import Object, Owner
from harness.render.rendered import Environment
from harness.schema import api_validator

# A row: the object, what is refused of it (the field that is named, the one that is pointed at, and
# some words). A document after it is the object before.
REFUSED = {
    "limit below request": (
        """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b}, spec: {
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [
    {name: c, image: d, resources: {requests: {cpu: 1, memory: 2Gi}, limits: {memory: 1Gi}}}]}}}}
""",
        "api/refused",
        ("spec", "template", "spec", "containers", 0, "resources", "requests", "memory"),
        "must be less than or equal to memory limit of 1Gi",
    ),
    "nothing may go, nothing may come": (
        """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: b}, spec: {
  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}},
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [
    {name: c, image: d}]}}}}
""",
        "api/refused",
        ("spec", "strategy", "rollingUpdate", "maxUnavailable"),
        "may not be 0 when `maxSurge` is 0",
    ),
    "selector of other pods": (
        """
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a, namespace: b}, spec: {
  serviceName: a, selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: b}}, spec: {
    containers: [{name: c, image: d}]}}}}
""",
        "api/refused",
        ("spec", "template", "metadata", "labels"),
        "`selector` does not match template `labels`",
    ),
    "a Job whose pods restart": (
        """
{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}, spec: {template: {spec: {
  restartPolicy: Always, containers: [{name: c, image: d}]}}}}
""",
        "api/refused",
        ("spec", "template", "spec", "restartPolicy"),
        'valid values: "OnFailure", "Never"',
    ),
    "a mount of no volume": (
        """
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}, spec: {containers: [
  {name: c, image: d, volumeMounts: [{name: e, mountPath: /f}]}]}}
""",
        "api/refused",
        ("spec", "containers", 0, "volumeMounts", 0, "name"),
        "Not found",
    ),
    "no quantity": (
        """
{apiVersion: v1, kind: ResourceQuota, metadata: {name: a, namespace: b}, spec: {hard: {cpu: 1x}}}
""",
        "api/refused",
        ("spec", "hard", "cpu"),
        "quantities must match",
    ),
    "a priority of the system's": (
        """
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: a}, value: 2000000000}
""",
        "api/refused",
        ("value",),
        "maximum allowed value of a user defined priority is 1000000000",
    ),
    "a policy that does not compile": (
        """
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {name: a},
 spec: {matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1],
   operations: [CREATE], resources: [pods]}]}, validations: [{expression: "has(object.spec"}]}}
""",
        "api/refused",
        ("spec", "validations", 0, "expression"),
        "Syntax error",
    ),
    "a rule of a custom resource": (
        """
{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyProxy, metadata: {name: a, namespace: b},
 spec: {provider: {type: Kubernetes, kubernetes: {envoyPDB: {minAvailable: 1, maxUnavailable: 1}}}}}
""",
        "api/refused",
        ("spec", "provider", "kubernetes", "envoyPDB", "maxUnavailable"),
        "only one of minAvailable or maxUnavailable",
    ),
    "a key of a ConfigMap": (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}, data: {c/d: e}}",
        "api/refused",
        ("data", "c/d"),
        "a valid config key",
    ),
    "another priority": (
        """
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: a}, value: 2}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: a}, value: 1}
""",
        "api/immutable",
        ("value",),
        "may not be changed in an update",
    ),
    "another class of a claim": (
        """
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b}, spec: {
  accessModes: [ReadWriteMany], storageClassName: d, resources: {requests: {storage: 2Gi}}}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b}, spec: {
  accessModes: [ReadWriteMany], storageClassName: c, resources: {requests: {storage: 1Gi}}}}
""",
        "api/immutable",
        ("spec", "storageClassName"),
        "spec is immutable after creation",
    ),
    "less of a claim": (
        """
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b}, spec: {
  accessModes: [ReadWriteMany], storageClassName: c, resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: a, namespace: b}, spec: {
  accessModes: [ReadWriteMany], storageClassName: c, resources: {requests: {storage: 2Gi}}}}
""",
        "api/immutable",
        ("spec", "resources", "requests", "storage"),
        "can not be less than status.capacity",
    ),
    "another image of a Job": (
        """
{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}, spec: {template: {spec: {
  restartPolicy: Never, containers: [{name: c, image: e}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: a, namespace: b}, spec: {template: {spec: {
  restartPolicy: Never, containers: [{name: c, image: d}]}}}}
""",
        "api/immutable",
        ("spec", "template", "spec", "containers", 0, "image"),
        "spec.template: field is immutable",
    ),
    "another selector": (
        """
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, namespace: b}, spec: {
  selector: {matchLabels: {a: c}}, template: {metadata: {labels: {a: c}}, spec: {containers: [
    {name: c, image: d}]}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a, namespace: b}, spec: {
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [
    {name: c, image: d}]}}}}
""",
        "api/immutable",
        ("spec", "selector"),
        "field is immutable",
    ),
    "other parameters of a class": (
        """
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a}, provisioner: b,
 parameters: {c: e}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: a}, provisioner: b,
 parameters: {c: d}}
""",
        "api/immutable",
        ("parameters", "c"),
        "field is immutable",
    ),
    "a pod that its namespace refuses": (
        """
{apiVersion: batch/v1, kind: CronJob, metadata: {name: a, namespace: baseline}, spec: {
  schedule: "@daily", jobTemplate: {spec: {template: {spec: {restartPolicy: Never,
    hostNetwork: true, containers: [{name: c, image: d}]}}}}}}
""",
        "admission/refused",
        ("spec", "jobTemplate", "spec", "template", "spec", "hostNetwork"),
        "violates PodSecurity baseline:latest: host namespaces",
    ),
    "a pod that a policy refuses": (
        """
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a, namespace: policed}, spec: {
  selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {
    volumes: [{name: c, emptyDir: {}}, {name: d, hostPath: {path: /}}],
    containers: [{name: c, image: d}]}}}}
""",
        "admission/refused",
        ("spec", "template", "spec", "volumes", 1, "hostPath"),
        "no folder of the node",
    ),
}

AROUND = """
{apiVersion: v1, kind: Namespace, metadata: {name: baseline,
  labels: {pod-security.kubernetes.io/enforce: baseline}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: policed}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy,
 metadata: {name: folders}, spec: {matchConstraints: {resourceRules: [{apiGroups: [""],
   apiVersions: [v1], operations: [CREATE], resources: [pods]}]}, validations: [{
   expression: "!object.spec.?volumes.orValue([]).exists(v, has(v.hostPath))",
   message: no folder of the node}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding,
 metadata: {name: folders}, spec: {policyName: folders, validationActions: [Deny], matchResources: {
   namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: policed}}}}}
"""


@pytest.fixture(scope="module")
def program(checkout: Repository) -> Path:
    built = tools.at_hand(checkout, "api-validator")
    if built is None:
        pytest.skip("not built here: harness tools api-validator")
    return built


@pytest.fixture
def repository(tmp_path: Path, checkout: Repository) -> Repository:
    """A repository that has kept no answer, with this one's programs and schemas."""
    for folder in ("tools", "build/tools"):
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        (tmp_path / folder).symlink_to(checkout.root / folder)
    return Repository(tmp_path)


def _environment(*values: Value) -> Environment:
    def trace(_: Value, path: KeyPath) -> Location:
        return Location(Path("/".join(map(str, path)) or "."))

    owner = Owner("Kustomization", "flux-system", "try")
    return Environment("try", "candidate", tuple(Object(each, owner, trace) for each in values))


def _documents(text: str) -> list[Value]:
    return [each.value for each in yamlfile.parse(text, Path("try.yaml"))]


@pytest.mark.parametrize(
    ("documents", "rule", "path", "words"), REFUSED.values(), ids=list(REFUSED)
)
def test_refusal_has_its_rule_its_place_and_the_servers_words(
    repository: Repository,
    program: Path,
    documents: str,
    rule: str,
    path: KeyPath,
    words: str,
) -> None:
    new, *old = _documents(documents)
    pairs = [(_environment(new, *_documents(AROUND)), _environment(*old) if old else None)]
    for _ in range(2):  # asked, then remembered
        ((environment, subject, problem),) = api_validator.validate(repository, program, pairs)
        assert (environment.name, subject.value) == ("try", new)
        assert problem.rule == rule
        assert problem.location.path == Path("/".join(map(str, path)))
        assert words in problem.message
        assert "\n" not in problem.message


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"annotations": {"helm.sh/hook": "pre-upgrade"}}},
        {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/force": "Enabled"}}},
        {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}}},
        {"metadata": {"name": "another"}},
    ],
    ids=["hook", "forced", "left alone", "another object"],
)
def test_what_is_recreated_may_differ(
    repository: Repository, program: Path, changed: dict[str, dict[str, object]]
) -> None:
    new, old = _documents(REFUSED["another priority"][0])
    metadata = {"name": "a", **changed["metadata"]}
    pairs = [(_environment({**new, "metadata": metadata}), _environment(old))]
    assert api_validator.validate(repository, program, pairs) == []


def test_a_label_that_is_a_number_is_refused_and_ends_nothing(
    repository: Repository, program: Path
) -> None:
    namespace, config = _documents("""
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {a: 1}, annotations: {c: 2}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}
""")
    pairs = [(_environment(namespace, config), None)]
    ((_, subject, problem),) = api_validator.validate(repository, program, pairs)
    assert (subject.kind, problem.rule) == ("Namespace", "api/refused")


def test_a_kind_that_nobody_knows_and_a_null_are_no_refusal(
    repository: Repository, program: Path
) -> None:
    unknown, null = _documents("""
{apiVersion: example.org/v1, kind: Thing, metadata: {name: a, namespace: b}, spec: {c: d}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b, annotations: null}, data: null}
""")
    assert api_validator.validate(repository, program, [(_environment(unknown, null), None)]) == []
