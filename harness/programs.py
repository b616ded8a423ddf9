"""The external programs: what each is built from, and what it is for.

Their versions are in tools/<family>/go.mod; `harness.tools` finds or builds them.
"""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Tool:
    """An external program.

    Attributes:
        package: what is built.
        version: arguments that make it print its version; without any, PATH is not searched.
        family: the folder under tools/ that pins it (default: its own name).
        linker: linker flags beyond those that all tools have; ``{version}`` is the pinned one.
        pin: the Go module whose version is the tool's (default: the one of its package).
        tags: Go's build tags.
        lacks: a file that the program embeds and its module does not have: built from it, an empty
            one does.
        cgo: whether C compiles part of it: the machine needs gcc and what it includes.
    """

    name: str
    package: str
    version: tuple[str, ...] = ()
    family: str = field(default="", repr=False)
    linker: str = field(default="", repr=False)
    pin: str = field(default="", repr=False)
    tags: str = field(default="", repr=False)
    lacks: str = field(default="", repr=False)
    cgo: bool = field(default=False, repr=False)

    @property
    def module(self) -> str:
        """The Go module that the package lies in."""
        # The last of them: CNI's plugins lie in a module that is itself called plugins.
        return self.pin or re.sub("(.+)/(?:cmd|plugins)/.*", r"\1", self.package)

    @property
    def folder(self) -> str:
        """The folder under tools/ that pins it."""
        return self.family or self.name


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", ("version",)),
        Tool("helm", "helm.sh/helm/v4/cmd/helm", ("version", "--short")),
        Tool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", ("-v",)),
        # Our main.go around Betterleaks' detector.
        Tool(
            "find-credentials",
            ".",
            family="betterleaks",
            pin="github.com/betterleaks/betterleaks",
        ),
    )
}

LINTERS = {
    "actionlint": Tool("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", ("-version",))
}
"""What `make actions` runs."""

# Clients cannot parse what a Kubernetes built from its module calls itself.
_VERSIONED = " ".join(
    f"-X k8s.io/component-base/version.{name}"
    for name in ("gitVersion=v{version}", "gitMajor=1", "gitMinor=36", "gitTreeState=clean")
)

CLUSTER = {
    tool.name: tool
    for tool in (
        Tool("etcd", "go.etcd.io/etcd/server/v3"),
        *(
            Tool(name, f"k8s.io/kubernetes/cmd/{name}", family="kubernetes", linker=_VERSIONED)
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        ),
        Tool("kwok", "sigs.k8s.io/kwok/cmd/kwok"),
        *(
            Tool(name, f"github.com/fluxcd/{name}", family="flux")
            for name in ("source-controller", "kustomize-controller", "helm-controller")
        ),
    )
}
"""What `make cluster` runs: Kubernetes, kwok and Flux's controllers."""

RELEASE = {
    tool.name: tool
    for tool in (
        Tool("oras", "oras.land/oras/cmd/oras", ("version",)),
        Tool("cosign", "github.com/sigstore/cosign/v3/cmd/cosign", ("version",)),
        # Its registry stands in for a real one where promotions are rehearsed.
        Tool("crane", "github.com/google/go-containerregistry/cmd/crane", ("version",)),
    )
}
"""What promotions ask registries with."""

AUDIT = {
    # Our main.go around Trivy's detectors: all of Trivy is five times as many packages.
    "trivy-match": Tool("trivy-match", ".", family="trivy", pin="github.com/aquasecurity/trivy")
}
"""What `make audit` asks for vulnerabilities."""

# Of some thirty clouds in which Prometheus looks for targets, none: a third of its code.
_NO_CLOUDS = "remove_all_sd,enable_kubernetes_sd"
MONITORING = {
    tool.name: tool
    for tool in (
        *(
            Tool(
                name,
                f"github.com/prometheus/prometheus/cmd/{name}",
                family="monitoring",
                tags=_NO_CLOUDS,
            )
            for name in ("promtool", "prometheus")
        ),
        Tool(
            "prometheus-operator",
            "github.com/prometheus-operator/prometheus-operator/cmd/operator",
            family="monitoring",
            # By which it names the images that it starts.
            linker="-X github.com/prometheus/common/version.Version={version}",
            tags=_NO_CLOUDS,
        ),
        Tool(
            "alertmanager",
            "github.com/prometheus/alertmanager/cmd/alertmanager",
            family="monitoring",
            lacks="ui/app/dist/index.html",
        ),
        Tool("amtool", "github.com/prometheus/alertmanager/cmd/amtool", family="monitoring"),
    )
}
"""What the tests of monitoring scrape, evaluate and send alerts with, as the chart installs it."""

API = {
    # The API server's own code, for `check`: next to the server, whose packages it shares.
    "api-validator": Tool(
        "api-validator", "./api-validator", family="kubernetes", pin="k8s.io/kubernetes"
    )
}
"""What check uses where somebody has built it: `harness tools api-validator` takes minutes."""

SCALING = {
    tool.name: tool
    for tool in (
        *(
            Tool(f"keda-{name}", f"github.com/kedacore/keda/v2/cmd/{name}", family="keda")
            for name in ("operator", "adapter")
        ),
        Tool("flagger", "github.com/fluxcd/flagger/cmd/flagger"),
        # Of its providers the one whose nodes are kwok's: EC2's asks AWS for everything.
        Tool("karpenter", "sigs.k8s.io/karpenter/kwok", pin="sigs.k8s.io/karpenter"),
    )
}
"""What the long scenarios of autoscaling and canaries run. CI does not build it."""

NODE = {
    tool.name: tool
    for tool in (
        *(
            Tool(name, f"k8s.io/kubernetes/cmd/{name}", family="node/kubernetes", linker=_VERSIONED)
            for name in ("kubelet", "kube-proxy")
        ),
        *(
            Tool(name, f"github.com/containerd/containerd/v2/cmd/{name}", family="node/containerd")
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        ),
        # With libseccomp: the pods of the chart have the runtime's own filter.
        Tool(
            "runc",
            "github.com/opencontainers/runc",
            family="node/runc",
            tags="seccomp",
            cgo=True,
        ),
        *(
            Tool(
                name,
                f"github.com/containernetworking/plugins/plugins/{kind}/{name}",
                family="node/cni",
            )
            for kind, name in (
                ("main", "bridge"),
                ("main", "loopback"),
                ("ipam", "host-local"),
            )
        ),
        Tool(
            "kube-router",
            "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
            family="node/kube-router",
        ),
        Tool(
            "envoy-gateway",
            "github.com/envoyproxy/gateway/cmd/envoy-gateway",
            family="node/envoy-gateway",
        ),
    )
}
"""What `make cluster REAL=1` adds to the cluster: a node whose pods are containers."""

LOGGING = {
    tool.name: tool
    for tool in (
        # Our main.go around the parts of the Collector that each place needs.
        Tool(
            "otel-agent",
            ".",
            family="logging/agent",
            pin="go.opentelemetry.io/collector/otelcol",
        ),
        # The newest version whose exporter to Elasticsearch can be had as a module.
        Tool(
            "otel-gateway",
            ".",
            family="logging/gateway",
            pin="go.opentelemetry.io/collector/otelcol",
        ),
        # The newest exporter to OpenSearch that can be had, and the newest core that takes it.
        Tool(
            "otel-opensearch-gateway",
            ".",
            family="logging/opensearch-gateway",
            pin="go.opentelemetry.io/collector/otelcol",
        ),
    )
}
"""What the scenarios of logs carry lines to a real store with. CI does not build it."""

TRACING = {
    # Its UI is built by another repository, which its module does not have: a page says so.
    "jaeger": Tool("jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger")
}
"""What the scenarios of traces send spans to, and ask for them."""

EXPORTERS = {
    tool.name: tool
    for tool in (
        Tool(
            "flux-operator",
            "github.com/controlplaneio-fluxcd/flux-operator/cmd/operator",
            family="exporters/flux-operator",
            lacks="web/dist/index.html",
        ),
        Tool(
            "kube-state-metrics",
            "k8s.io/kube-state-metrics/v2",
            family="exporters/kube-state-metrics",
        ),
    )
}
"""What the samples of exporters in the tests are compared with. CI does not build it."""

ALL = (
    TOOLS
    | LINTERS
    | CLUSTER
    | RELEASE
    | AUDIT
    | MONITORING
    | API
    | NODE
    | SCALING
    | LOGGING
    | TRACING
    | EXPORTERS
)
