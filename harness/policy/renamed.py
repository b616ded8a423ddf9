"""Rules by their former ids: exceptions.yaml and ``--explain`` read them until 2027-03-01."""

FORMER_IDS = {
    "cluster/one-name": "cluster/one-region",
    "admission/drivers": "admission/privileged-namespaces",
    "availability/roll-out": "availability/rollout",
    "environments/guards": "environments/same-policies",
    "gateway/patience": "gateway/request-timeout",
    "gateway/references": "references/exists",
    "gpu/roll-out-fits": "gpu/rollout-fits",
    "helm/chart-version": "helm/reconcile-strategy",
    "helm/placement": "helm/release-identity",
    "helm/recovers": "helm/remediation",
    "promotion/readable": "files/readable",
    "rbac/least": "rbac/least-privilege",
    "references/alert": "references/exists",
    "references/pod": "references/exists",
    "references/watched": "references/watch-label",
    "release/chart-version": "release/generated-chart",
    "release/listed": "release/entry-point",
    "release/reads": "release/sparse-checkout",
    "render/crossed": "render/version-skew",
    "snapshot/fits": "snapshot/up-to-date",
    "sources/on-the-list": "sources/allowed-urls",
}


def current_id(rule: str) -> str:
    """The id that a rule has now."""
    return FORMER_IDS.get(rule, rule)
