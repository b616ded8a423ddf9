"""The steps, in order."""

from harness.bootstrap import (
    account,
    credential,
    eks,
    foundation,
    karpenter,
    release,
    store,
    sync,
)
from harness.bootstrap.step import Step

STEPS = (
    Step("programs", "eksctl, kubectl, aws and helm", account.inspect_programs, account.provide),
    Step("caller", "whose credentials these are", account.inspect_caller),
    Step("settings", "what only you can know", foundation.inspect_settings, after=("caller",)),
    Step(
        "foundation",
        "key, bucket, registry and roles, by CloudFormation",
        foundation.inspect,
        foundation.build,
        after=("caller", "settings"),
    ),
    Step(
        "values",
        "their names into site.yaml and eksctl.yaml",
        foundation.inspect_values,
        foundation.write_values,
        after=("foundation",),
    ),
    Step("cluster", "network, EKS, nodes, by eksctl", eks.inspect, eks.build, after=("caller",)),
    Step(
        "nodes",
        "Karpenter's roles, queue and subnets, where its component is listed",
        karpenter.inspect,
        karpenter.build,
        after=("cluster",),
    ),
    Step(
        "store",
        "the model store's file system, its ids into site.yaml",
        store.inspect,
        store.build,
        after=("cluster",),
    ),
    Step("image", "the serving image in the registry", release.inspect_image, after=("values",)),
    Step("models", "the archives in the bucket", release.inspect_models, after=("values",)),
    Step("main", "all of it merged into main", release.inspect_main, after=("values", "store")),
    Step(
        "access",
        "access to the API server",
        sync.inspect_access,
        sync.write_kubeconfig,
        after=("cluster",),
    ),
    Step(
        "operator",
        "flux-operator, by helm",
        sync.inspect_operator,
        sync.install_operator,
        after=("main", "access"),
    ),
    Step(
        "credential",
        "with what Flux reads the repository",
        credential.inspect,
        credential.provide,
        after=("operator",),
    ),
    Step(
        "flux",
        "Flux, as FluxInstance describes it",
        sync.inspect_instance,
        sync.apply_instance,
        after=("main", "credential"),
    ),
    Step(
        "sync",
        "everything applied and Ready",
        sync.inspect_sync,
        sync.wait_for_sync,
        after=("flux",),
    ),
)
"""From an empty account to the first sync."""
