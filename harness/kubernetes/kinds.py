"""The kinds of object that the harness reads by name."""

from harness.kubernetes.api import Kind

FLUX_NAMESPACE = "flux-system"
"""Where Flux runs, and where all that it follows is."""
ROOT = "flux-system"
"""The name of the root GitRepository and Kustomization, as FluxInstance's sync calls them."""

CANARY = Kind("flagger.app/v1beta1", "Canary")
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
CONFIG_MAP = Kind("v1", "ConfigMap")
DAEMON_SET = Kind("apps/v1", "DaemonSet")
DEPLOYMENT = Kind("apps/v1", "Deployment")
EVENT = Kind("v1", "Event")
FLUX_INSTANCE = Kind("fluxcd.controlplane.io/v1", "FluxInstance")
GIT_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "GitRepository")
HELM_CHART = Kind("source.toolkit.fluxcd.io/v1", "HelmChart")
HELM_RELEASE = Kind("helm.toolkit.fluxcd.io/v2", "HelmRelease")
HELM_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "HelmRepository")
JOB = Kind("batch/v1", "Job")
KUSTOMIZATION = Kind("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
NAMESPACE = Kind("v1", "Namespace")
NODE = Kind("v1", "Node")
OCI_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "OCIRepository")
PERSISTENT_VOLUME = Kind("v1", "PersistentVolume")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim")
POD = Kind("v1", "Pod")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget")
REPLICA_SET = Kind("apps/v1", "ReplicaSet")
SECRET = Kind("v1", "Secret")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount")
