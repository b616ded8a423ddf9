"""The kinds of object that are looked at by name."""

from harness.cluster.api import Kind

CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
CONFIG_MAP = Kind("v1", "ConfigMap")
DEPLOYMENT = Kind("apps/v1", "Deployment")
EVENT = Kind("v1", "Event")
FLUX_INSTANCE = Kind("fluxcd.controlplane.io/v1", "FluxInstance")
GIT_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "GitRepository")
HELM_CHART = Kind("source.toolkit.fluxcd.io/v1", "HelmChart")
HELM_RELEASE = Kind("helm.toolkit.fluxcd.io/v2", "HelmRelease")
HELM_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "HelmRepository")
KUSTOMIZATION = Kind("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
NAMESPACE = Kind("v1", "Namespace")
NODE = Kind("v1", "Node")
OCI_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "OCIRepository")
POD = Kind("v1", "Pod")
SECRET = Kind("v1", "Secret")
