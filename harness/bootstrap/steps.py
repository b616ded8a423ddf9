"""The steps, in order."""

from harness.bootstrap import account, credential, eks, foundation, release, store, sync
from harness.bootstrap.step import Step

STEPS = (
    Step("programs", "eksctl, kubectl, aws and helm", account.look_programs, account.provide),
    Step("caller", "whose credentials these are", account.look_caller),
    Step("settings", "what only you can know", foundation.look_settings, after=("caller",)),
    Step(
        "foundation",
        "key, bucket, registry and roles, by CloudFormation",
        foundation.look,
        foundation.build,
        after=("caller", "settings"),
    ),
    Step(
        "values",
        "their names into site.yaml and eksctl.yaml",
        foundation.look_values,
        foundation.write_values,
        after=("foundation",),
    ),
    Step("cluster", "network, EKS, nodes, by eksctl", eks.look, eks.build, after=("caller",)),
    Step(
        "store",
        "the model store's file system, its ids into site.yaml",
        store.look,
        store.build,
        after=("cluster",),
    ),
    Step("image", "the serving image in the registry", release.look_image, after=("values",)),
    Step("models", "the archives in the bucket", release.look_models, after=("values",)),
    Step("main", "all of it merged into main", release.look_main, after=("values", "store")),
    Step(
        "access",
        "the way to the API server",
        sync.look_access,
        sync.write_kubeconfig,
        after=("cluster",),
    ),
    Step(
        "operator",
        "flux-operator, by helm",
        sync.look_operator,
        sync.install_operator,
        after=("main", "access"),
    ),
    Step(
        "credential",
        "with what Flux reads the repository",
        credential.look,
        credential.give,
        after=("operator",),
    ),
    Step(
        "flux",
        "Flux, as FluxInstance describes it",
        sync.look_instance,
        sync.apply_instance,
        after=("main", "credential"),
    ),
    Step(
        "sync",
        "everything applied and Ready",
        sync.look_sync,
        sync.wait_for_sync,
        after=("flux",),
    ),
)
"""From an empty account to the first sync."""
