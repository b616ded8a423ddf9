"""Secrets: encrypted in Git, decrypted in the cluster, never in a value or a variable."""

import re
from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import dig, items, mapping, text
from harness.policy.facts.graph import KUSTOMIZE, Graph
from harness.policy.facts.pods import WORKLOADS, pod
from harness.policy.finding import Severity
from harness.policy.rule import problem, rule
from harness.render.objects import Object
from harness.render.rendered import Environment

# In a patch, as JSON 6902 or as what is merged.
_DECRYPTS = re.compile(r"\bdecryption:?\s+(value:\s*)?\{?\s*provider: sops\b")
_NAMES = re.compile(r"(?i)(password|passwd|secret[_-]?key|access[_-]?key|api[_-]?key|token)$")


@rule(
    "secrets/encrypted",
    why="whoever can read the repository, or an old clone of it, has the secret",
    fix="`sops encrypt --kms KMS_KEY_ARN --in-place FILE` (docs/secrets.md)",
    references=("NSA/CISA C-0012",),
    kinds=("Secret",),
    like=("gitleaks kubernetes-secret-yaml",),
)
def encryption(secret: Object) -> Iterator[Problem]:
    for key in ("data", "stringData"):
        for name, value in mapping(secret.value, key).items():
            if _unset(value):
                continue
            if not str(value).startswith("ENC["):
                yield problem(secret, f"{key}.{name} is in the clear", key, name)
            elif not _by_sops(secret):
                message = f"{key}.{name} looks encrypted, but there is no sops.mac: Flux applies it"
                yield problem(secret, f"{message} as it is", key, name)


def _unset(value: object) -> bool:
    return value in ("", None)


def _by_sops(item: Object) -> bool:
    """Whether SOPS encrypted it, as kustomize-controller tells (isSOPSEncryptedResource)."""
    return bool(text(item.value, "sops", "mac"))


@rule(
    "secrets/decrypted",
    why="where nothing says how to decrypt, Flux takes the encrypted text of stringData for the "
    "secret itself; data it refuses, with everything that the same Kustomization applies",
    fix="decryption: {provider: sops} in the Kustomization (the root's: a patch of FluxInstance); "
    "what a chart brings is not decrypted: apply it by a Kustomization",
)
def decryption(environment: Environment) -> Iterator[Problem]:
    kustomizations = Graph(environment).kustomizations
    for item in filter(_by_sops, environment.objects):
        applier = kustomizations.get(item.owner.name)
        if item.owner.kind == "HelmRelease":
            yield problem(item, f"{item.owner} does not decrypt it", "sops")
        elif text(item.annotations, f"{KUSTOMIZE}/decrypt").lower() == "disabled":
            yield problem(item, "asks not to be decrypted", "metadata", "annotations")
        elif applier and text(applier.value, "spec", "decryption", "provider") != "sops":
            yield problem(
                applier, f"does not decrypt {item}", "spec", "decryption", to={"provider": "sops"}
            )
        elif not applier and (root := _instance_without_decryption(environment)):
            yield problem(root, f"does not decrypt {item}", "spec", "kustomize", "patches")


def _instance_without_decryption(environment: Environment) -> Object | None:
    """The FluxInstance, if it does not patch the root Kustomization that it makes."""
    instance = environment.find("FluxInstance", "flux")
    patches = items(instance and instance.value, "spec", "kustomize", "patches")
    patched = any(
        text(patch, "target", "kind") == "Kustomization" and _DECRYPTS.search(text(patch, "patch"))
        for patch in patches
    )
    return None if patched else instance


@rule(
    "secrets/not-in-variables",
    why="what Git holds in the clear has leaked, and every child of the process sees it",
    fix="mount a Secret as a file, or name it by valueFrom where a program reads variables alone",
    references=("CIS EKS 4.4.1", "NSA/CISA C-0012"),
    kinds=WORKLOADS,
)
def not_in_variables(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for index, variable in enumerate(items(container.value, "env")):
            name = text(variable, "name")
            if _NAMES.search(name) and dig(variable, "value"):
                yield container.problem(f"{name} is in the clear", "env", index, "value")


@rule(
    "secrets/files-over-variables",
    why="environment variables show in crash dumps, in `kubectl exec` and to every child",
    fix="mount the Secret as a file, where the program can read one",
    severity=Severity.WARNING,
    references=("CIS EKS 4.4.1", "NSA/CISA C-0012"),
    kinds=WORKLOADS,
    like=(
        "kube-linter env-var-secret",
        "checkov CKV_K8S_35",
    ),
)
def files_over_variables(workload: Object) -> Iterator[Problem]:
    for container in pod(workload).containers:
        for index, variable in enumerate(items(container.value, "env")):
            if dig(variable, "valueFrom", "secretKeyRef"):
                message = f"{text(variable, 'name')} comes from a Secret"
                yield container.problem(message, "env", index)
        for index, source in enumerate(items(container.value, "envFrom")):
            if dig(source, "secretRef"):
                yield container.problem("takes a whole Secret as variables", "envFrom", index)
