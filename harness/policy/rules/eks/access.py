"""Who gets into the cluster, and as which role of AWS its pods ask: eksctl.yaml."""

from collections.abc import Iterator

from harness.core.problem import Problem
from harness.core.values import items, mapping, text
from harness.policy.facts.eks import Cluster, clusters
from harness.policy.facts.pods import pods
from harness.policy.project import Project
from harness.policy.rule import rule
from harness.render.rendered import Environment

# Access policies of EKS that read Secrets, the last of them nodes/proxy too; AmazonEKSViewPolicy
# does not, and AmazonEKSClusterAdminPolicy is what administrators have.
# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
_READ_SECRETS = ("AmazonEKSAdminPolicy", "AmazonEKSEditPolicy", "AmazonEKSAdminViewPolicy")
_ADMINISTERS = "AmazonEKSClusterAdminPolicy"
_CERTIFICATES = "cert-manager"  # namespace and account: what its chart calls them by default


@rule(
    "cluster/access",
    why="whoever reads every Secret has the token that writes to this repository and the gateway's "
    "key; AmazonEKSAdminViewPolicy also runs commands in any container, by nodes/proxy",
    fix="give an entry that does not administer the cluster a group, and the group the kinds that "
    "it reads (infra/policies/clusterrole.yaml)",
    references=("CIS EKS 4.1.2",),
)
def access(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        where = ("accessConfig", "accessEntries")
        yield from _ways_around(cluster)
        ours = {"flux-system", *(each.name for each in cluster.environment.of("Namespace"))}
        for index, entry in enumerate(items(cluster.value, *where)):
            groups = items(entry, "kubernetesGroups")
            if "system:masters" in groups:
                message = "is in system:masters, which no role restricts"
                yield cluster.problem(message, *where, index, "kubernetesGroups")
            for number, granted in enumerate(items(entry, "accessPolicies")):
                name = text(granted, "policyARN").rpartition("/")[2]
                at = (*where, index, "accessPolicies", number, "policyARN")
                scope = mapping(granted, "accessScope")
                reached = ours.intersection(map(str, items(scope, "namespaces")))
                if name in _READ_SECRETS and (text(scope, "type") != "namespace" or reached):
                    what = ", ".join(sorted(reached)) or "the cluster"
                    yield cluster.problem(f"{name} reads every Secret of {what}", *at)
                if name == _ADMINISTERS and groups:
                    message = f"{name} makes the groups {', '.join(map(str, groups))} needless"
                    yield cluster.problem(message, *at)


def _ways_around(cluster: Cluster) -> Iterator[Problem]:
    """Who administers the cluster without an entry that the file shows."""
    settings = mapping(cluster.value, "accessConfig")
    if settings.get("bootstrapClusterCreatorAdminPermissions") is not False:
        key = "bootstrapClusterCreatorAdminPermissions"
        message = "whoever runs eksctl administers the cluster for good"
        yield cluster.problem(message, "accessConfig", key, to=False)
    if settings.get("authenticationMode") != "API":
        message = "the ConfigMap aws-auth lets in whom no entry names"
        yield cluster.problem(message, "accessConfig", "authenticationMode", to="API")


@rule(
    "cluster/entries",
    why="an entry that grants nothing, or a group that no role is bound to, answers 403 to the "
    "workflows; a group that nobody is in is granted for nothing",
    fix="kubernetesGroups: name the group that infra/policies binds (torchserve:smoke)",
)
def entries_grant(project: Project) -> Iterator[Problem]:
    where = ("accessConfig", "accessEntries")
    for cluster in clusters(project):
        entries = items(cluster.value, *where)
        bound = set(_groups(cluster.environment))
        members = {str(group) for entry in entries for group in items(entry, "kubernetesGroups")}
        only = next(iter(bound)) if len(bound) == 1 else None
        complaints = [
            cluster.problem(
                f"no role is bound to the group {group}", *where, index, key, at, to=only
            )
            for index, entry in enumerate(entries)
            for key in ("kubernetesGroups",)
            for at, group in enumerate(items(entry, key))
            if str(group) not in bound and not str(group).startswith("system:")
        ]
        complaints += [
            cluster.problem("grants its principal nothing", *where, index)
            for index, entry in enumerate(entries)
            if text(entry, "type") in ("", "STANDARD")
            and not items(entry, "kubernetesGroups")
            and not items(entry, "accessPolicies")
        ]
        if not complaints and entries and not items(cluster.value, "identityProviders"):
            for group in sorted(bound - members):
                yield cluster.problem(f"nobody is in the group {group}", *where)
        yield from complaints


def _groups(environment: Environment) -> Iterator[str]:
    """The groups that bindings of this repository name, apart from Kubernetes' own."""
    for binding in environment.of("ClusterRoleBinding", "RoleBinding"):
        for subject in items(binding.value, "subjects"):
            name = text(subject, "name")
            if text(subject, "kind") == "Group" and not name.startswith("system:"):
                yield name


@rule(
    "cluster/pod-identity",
    why="an association with an account that no pod runs as gives nobody anything: the sync Job "
    "gets 403 from S3, cert-manager no certificate",
    fix="name the namespace and the ServiceAccount of infra/policies, which the sync Jobs of all "
    "groups run as (modelStore.sync.serviceAccount)",
    references=("CIS EKS 5.2.1",),
)
def pod_identity(project: Project) -> Iterator[Problem]:
    for cluster in clusters(project):
        ours = {(item.namespace, item.name) for item in cluster.environment.of("ServiceAccount")}
        rendered = {namespace for namespace, _ in ours}
        known = {item.name for item in cluster.environment.of("Namespace")} | {"flux-system"}
        where = ("iam", "podIdentityAssociations")
        associated = set()
        astray = False  # an association that was meant for an account, and misses it
        for index, each in enumerate(items(cluster.value, *where)):
            namespace, account = text(each, "namespace"), text(each, "serviceAccountName")
            associated.add((namespace, account))
            astray = astray or namespace not in known
            if namespace not in known:
                message = f"there is no namespace {namespace}"
                yield cluster.problem(message, *where, index, "namespace")
            elif namespace in rendered and (namespace, account) not in ours:
                astray = True
                message = f"there is no ServiceAccount {namespace}/{account}"
                yield cluster.problem(message, *where, index, "serviceAccountName")
        for subject in pods(cluster.environment, "Job"):
            account = text(subject.spec, "serviceAccountName")
            is_associated = (subject.owner.namespace, account) in associated
            if subject.reads_s3 and not is_associated and not astray:
                message = f"gives {subject.owner}'s account {account} no role"
                yield cluster.problem(message, *where)
        if problem := _certificates_without_role(cluster):
            yield problem


def _certificates_without_role(cluster: Cluster) -> Problem | None:
    """What cert-manager's role lacks to prove a domain in Route 53; an issuer may name its own."""
    solvers = [
        mapping(solver, "dns01", "route53")
        for issuer in cluster.environment.of("ClusterIssuer", "Issuer")
        for solver in items(issuer.value, "spec", "acme", "solvers")
    ]
    credentials = ("accessKeyID", "accessKeyIDSecretRef", "auth", "role")
    if not any(solver and not any(key in solver for key in credentials) for solver in solvers):
        return None
    where = ("iam", "podIdentityAssociations")
    for index, each in enumerate(items(cluster.value, *where)):
        if text(each, "namespace") == _CERTIFICATES == text(each, "serviceAccountName"):
            known = mapping(each, "wellKnownPolicies")
            if known and known.get("certManager") is not True:
                message = "cert-manager's role is not for Route 53: certManager is not true"
                right = {"certManager": True}
                return cluster.problem(message, *where, index, "wellKnownPolicies", to=right)
            return None
    return cluster.problem("gives cert-manager no role, which asks Route 53 for it", *where)
