"""clusters/<env>/eksctl.yaml: the keys of eksctl v0.230's ClusterConfig that this repository uses.

Unknown keys are errors, as in eksctl's own schema; on top come the combinations that its schema
lets through and ``eksctl create cluster`` refuses.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, model_validator

from harness.core import document
from harness.core.document import Document, Strict
from harness.core.errors import InputError
from harness.core.form import Form, Region
from harness.core.problem import Problem
from harness.core.values import KeyPath
from harness.render.placeholders import Placeholders
from harness.render.rendered import UnsetValue
from harness.render.tree import Tree

Arn = Annotated[
    str, Form(r"arn:aws[a-z-]*:[a-z0-9-]+:.*", "an ARN, as arn:aws:iam::123456789012:role/…")
]
Name = Annotated[
    str, Form(r"[a-zA-Z0-9][a-zA-Z0-9-]*", "a name of letters, digits and - alone", longest=100)
]
Count = Annotated[int, Field(ge=0)]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler", "all", "*"]
# What CloudWatch Logs accepts as days, up to ten years.
Retention = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
]  # fmt: skip
_IDENTITY_AGENT = "eks-pod-identity-agent"


class Metadata(Strict):
    name: Name
    region: Region
    version: Annotated[str, Form(r"1\.\d\d", 'a version of Kubernetes in quotes, as "1.36"')]
    tags: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)


class Enabled(Strict):
    enabled: bool


class UpgradePolicy(Strict):
    support_type: Annotated[Literal["STANDARD", "EXTENDED"], Field(alias="supportType")]


class Endpoints(Strict):
    private: Annotated[bool, Field(alias="privateAccess")]
    public: Annotated[bool, Field(alias="publicAccess")]

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not (self.private or self.public):
            raise ValueError("the control plane needs at least one endpoint")
        return self


class Nat(Strict):
    gateway: Literal["Disable", "Single", "HighlyAvailable"]


class Vpc(Strict):
    id: str | None = None
    cidr: str | None = None
    nat: Nat | None = None
    endpoints: Annotated[Endpoints | None, Field(alias="clusterEndpoints")] = None
    public_cidrs: Annotated[tuple[str, ...], Field(alias="publicAccessCIDRs")] = ()

    @model_validator(mode="after")
    def _networks(self) -> Self:
        for each in filter(None, (self.cidr, *self.public_cidrs)):
            ipaddress.ip_network(each)
        if self.public_cidrs and self.endpoints and not self.endpoints.public:
            raise ValueError("publicAccessCIDRs have no effect without publicAccess")
        return self


class Encryption(Strict):
    key: Annotated[Arn, Field(alias="keyARN")]


class Logging(Strict):
    types: Annotated[tuple[LogType, ...], Field(alias="enableTypes", min_length=1)]
    days: Annotated[Retention | None, Field(alias="logRetentionInDays")] = None


class CloudWatch(Strict):
    logging: Annotated[Logging, Field(alias="clusterLogging")]


class Scope(Strict):
    type: Literal["cluster", "namespace"]
    namespaces: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _namespaces(self) -> Self:
        if bool(self.namespaces) != (self.type == "namespace"):
            raise ValueError("namespaces belong to type namespace, and to it alone")
        return self


class AccessPolicy(Strict):
    arn: Annotated[Arn, Field(alias="policyARN")]
    scope: Annotated[Scope, Field(alias="accessScope")]


class AccessEntry(Strict):
    principal: Annotated[Arn, Field(alias="principalARN")]
    type: Literal["STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX"] | None = None
    username: Annotated[str | None, Field(alias="kubernetesUsername")] = None
    groups: Annotated[tuple[str, ...], Field(alias="kubernetesGroups")] = ()
    policies: Annotated[tuple[AccessPolicy, ...], Field(alias="accessPolicies")] = ()


class Access(Strict):
    mode: Annotated[
        Literal["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"], Field(alias="authenticationMode")
    ]
    creator: Annotated[bool | None, Field(alias="bootstrapClusterCreatorAdminPermissions")] = None
    entries: Annotated[tuple[AccessEntry, ...], Field(alias="accessEntries")] = ()

    @model_validator(mode="after")
    def _api(self) -> Self:
        if self.entries and self.mode == "CONFIG_MAP":
            raise ValueError("accessEntries need authenticationMode API or API_AND_CONFIG_MAP")
        return self


class AddonIdentity(Strict):
    """What eksctl takes in an addon: its code wants both names, and no policies by a name."""

    namespace: str
    account: Annotated[str, Field(alias="serviceAccountName")]
    role: Annotated[Arn | None, Field(alias="roleARN")] = None
    policies: Annotated[tuple[Arn, ...], Field(alias="permissionPolicyARNs")] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.role) == bool(self.policies or getattr(self, "known", None)):
            raise ValueError("give either roleARN or policies")
        return self


class Identity(AddonIdentity):
    known: Annotated[dict[str, bool] | None, Field(alias="wellKnownPolicies")] = None
    create: Annotated[bool | None, Field(alias="createServiceAccount")] = None
    tags: Mapping[str, str] = Field(default_factory=dict)


class Iam(Strict):
    oidc: Annotated[bool | None, Field(alias="withOIDC")] = None
    identities: Annotated[tuple[Identity, ...], Field(alias="podIdentityAssociations")] = ()


class AddonsConfig(Strict):
    no_defaults: Annotated[bool | None, Field(alias="disableDefaultAddons")] = None
    auto_identity: Annotated[bool | None, Field(alias="autoApplyPodIdentityAssociations")] = None


class Addon(Strict):
    name: Name
    version: str | None = None
    configuration: Annotated[str | None, Field(alias="configurationValues")] = None
    conflicts: Annotated[
        Literal["none", "overwrite", "preserve"] | None, Field(alias="resolveConflicts")
    ] = None
    default_identity: Annotated[bool | None, Field(alias="useDefaultPodIdentityAssociations")] = (
        None
    )
    identities: Annotated[tuple[AddonIdentity, ...], Field(alias="podIdentityAssociations")] = ()

    @model_validator(mode="after")
    def _runtime(self) -> Self:
        if self.name == _IDENTITY_AGENT and (self.identities or self.default_identity):
            raise ValueError(f"{_IDENTITY_AGENT} cannot have a pod identity itself")
        if self.identities and self.default_identity:
            raise ValueError(
                "podIdentityAssociations and useDefaultPodIdentityAssociations exclude each other"
            )
        try:
            values = yaml.safe_load(self.configuration or "{}")
        except yaml.YAMLError as error:
            raise ValueError(f"configurationValues are neither JSON nor YAML: {error}") from error
        if not isinstance(values, dict):
            raise ValueError("configurationValues must be a mapping, as JSON or YAML text")  # noqa: TRY004
        return self


class Taint(Strict):
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class UpdateConfig(Strict):
    count: Annotated[Count | None, Field(alias="maxUnavailable")] = None
    percent: Annotated[Count | None, Field(alias="maxUnavailablePercentage")] = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.count is None) == (self.percent is None):
            raise ValueError("give either maxUnavailable or maxUnavailablePercentage")
        return self


class NodeGroup(Strict):
    name: Name
    instance_type: Annotated[str | None, Field(alias="instanceType")] = None
    instance_types: Annotated[tuple[str, ...], Field(alias="instanceTypes")] = ()
    # AmazonLinux2 has no images any more.
    family: Annotated[
        Literal["AmazonLinux2023", "Bottlerocket", "BottlerocketFips"], Field(alias="amiFamily")
    ]
    min_size: Annotated[Count, Field(alias="minSize")]
    desired: Annotated[Count, Field(alias="desiredCapacity")]
    max_size: Annotated[Count, Field(alias="maxSize")]
    zones: Annotated[tuple[str, ...], Field(alias="availabilityZones")] = ()
    private: Annotated[bool | None, Field(alias="privateNetworking")] = None
    no_imds_v1: Annotated[bool | None, Field(alias="disableIMDSv1")] = None
    no_pod_imds: Annotated[bool | None, Field(alias="disablePodIMDS")] = None
    volume_type: Annotated[Literal["gp3", "gp2", "io1", "io2"] | None, Field(alias="volumeType")]
    volume_size: Annotated[int, Field(alias="volumeSize", ge=1)]
    encrypted: Annotated[bool | None, Field(alias="volumeEncrypted")] = None
    volume_key: Annotated[Arn | None, Field(alias="volumeKmsKeyID")] = None
    spot: bool | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    tags: Mapping[str, str] = Field(default_factory=dict)
    propagate: Annotated[bool | None, Field(alias="propagateASGTags")] = None
    update: Annotated[UpdateConfig | None, Field(alias="updateConfig")] = None
    repair: Annotated[Enabled | None, Field(alias="nodeRepairConfig")] = None
    ami: str | None = None
    pods: Annotated[Count | None, Field(alias="maxPodsPerNode")] = None
    # What else eksctl takes for a managed node group. Its own schema says what they hold.
    additional_volumes: Annotated[object, Field(alias="additionalVolumes")] = None
    asg_metrics: Annotated[object, Field(alias="asgMetricsCollection")] = None
    bottlerocket: object = None
    capacity_reservation: Annotated[object, Field(alias="capacityReservation")] = None
    ebs_optimized: Annotated[bool | None, Field(alias="ebsOptimized")] = None
    efa: Annotated[bool | None, Field(alias="efaEnabled")] = None
    iam: object = None
    instance_name: Annotated[str | None, Field(alias="instanceName")] = None
    instance_prefix: Annotated[str | None, Field(alias="instancePrefix")] = None
    instance_selector: Annotated[object, Field(alias="instanceSelector")] = None
    launch_template: Annotated[object, Field(alias="launchTemplate")] = None
    market: Annotated[object, Field(alias="instanceMarketOptions")] = None
    monitoring: Annotated[bool | None, Field(alias="enableDetailedMonitoring")] = None
    bootstrap: Annotated[str | None, Field(alias="overrideBootstrapCommand")] = None
    placement: object = None
    pre_bootstrap: Annotated[object, Field(alias="preBootstrapCommands")] = None
    release: Annotated[str | None, Field(alias="releaseVersion")] = None
    security_groups: Annotated[object, Field(alias="securityGroups")] = None
    ssh: object = None
    subnets: tuple[str, ...] = ()
    volume_iops: Annotated[Count | None, Field(alias="volumeIOPS")] = None
    volume_name: Annotated[str | None, Field(alias="volumeName")] = None
    volume_throughput: Annotated[Count | None, Field(alias="volumeThroughput")] = None

    @model_validator(mode="after")
    def _runtime(self) -> Self:
        chosen = (self.instance_type, self.instance_types, self.instance_selector)
        if sum(map(bool, chosen)) != 1 and not self.launch_template:
            raise ValueError("give either instanceType or instanceTypes")
        if not self.min_size <= self.desired <= self.max_size:
            raise ValueError("minSize ≤ desiredCapacity ≤ maxSize does not hold")
        if self.volume_key and not self.encrypted:
            raise ValueError("volumeKmsKeyID needs volumeEncrypted: true")
        return self


class ClusterConfig(Strict):
    """The whole file."""

    api_version: Annotated[Literal["eksctl.io/v1alpha5"], Field(alias="apiVersion")]
    kind: Literal["ClusterConfig"]
    metadata: Metadata
    upgrade: Annotated[UpgradePolicy | None, Field(alias="upgradePolicy")] = None
    auto_mode: Annotated[Enabled | None, Field(alias="autoModeConfig")] = None
    zones: Annotated[tuple[str, ...], Field(alias="availabilityZones")] = ()
    vpc: Vpc | None = None
    encryption: Annotated[Encryption | None, Field(alias="secretsEncryption")] = None
    logs: Annotated[CloudWatch | None, Field(alias="cloudWatch")] = None
    access: Annotated[Access | None, Field(alias="accessConfig")] = None
    iam: Iam | None = None
    addons_config: Annotated[AddonsConfig | None, Field(alias="addonsConfig")] = None
    addons: tuple[Addon, ...] = ()
    groups: Annotated[tuple[NodeGroup, ...], Field(alias="managedNodeGroups")] = ()

    @model_validator(mode="after")
    def _runtime(self) -> Self:
        for reason in self._refusals():
            raise ValueError(reason)
        return self

    def _refusals(self) -> Iterator[str]:
        """What eksctl finds out when it runs."""
        names = [each.name for each in self.addons]
        groups = [each.name for each in self.groups]
        for what, listed in (("addon", names), ("node group", groups)):
            for name in {name for name in listed if listed.count(name) > 1}:
                yield f"two {what}s are called {name}"
        if self.auto_mode and self.auto_mode.enabled and self.groups:
            yield "Auto Mode brings its own nodes: eksctl refuses managedNodeGroups with it"
        with_identity = [each for each in self.addons if each.identities or each.default_identity]
        if (with_identity or (self.iam and self.iam.identities)) and _IDENTITY_AGENT not in names:
            yield f"pod identities need the addon {_IDENTITY_AGENT}"
        if self.zones and not all(zone.startswith(self.metadata.region) for zone in self.zones):
            yield f"availabilityZones outside of region {self.metadata.region}"
        if 0 < len(self.zones) < 2:
            yield "EKS wants at least two availabilityZones"


def problems(
    tree: Tree,
    path: str,
    placeholders: Placeholders,
    schema: Callable[[Document], list[Problem]] = lambda _: [],
) -> tuple[list[Problem], list[UnsetValue]]:
    """What eksctl would refuse in a file, and which keys are UNSET.

    Args:
        tree: where the file lies.
        path: the file in the repository.
        placeholders: what stands in for UNSET.
        schema: what eksctl's own schema refuses, where eksctl is installed.

    Raises:
        InputError: the file cannot be read, or a field that is UNSET has no placeholder.
    """
    invalid: list[Problem] = []
    unset: list[UnsetValue] = []
    for raw in tree.documents(path):

        def note(keys: KeyPath, raw: Document = raw) -> None:
            unset.append(UnsetValue(".".join(str(key) for key in keys), raw.at(keys)))

        complete = Document(raw.path, placeholders.fill(raw.value, note), raw.lines, raw.start)
        try:
            document.validate(complete, ClusterConfig)
        except InputError as error:
            invalid += error.problems
        invalid += schema(complete)
    return invalid, unset
