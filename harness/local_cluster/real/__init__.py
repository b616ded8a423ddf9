"""What `make cluster REAL=1` adds: nodes whose pods are containers, in a network of their own.

The whole cluster runs inside a *sandbox*: a network namespace and a mount namespace that end with
its last process. A bridge in it joins the nodes. Each node has a network, a mount and a process
namespace of its own, in which containerd, kubelet, kube-proxy and kube-router run as they would on
a machine. So whatever they leave (interfaces, tables, mounts, containers) is removed by the
kernel, however they end; only the folders of control groups are ours to remove.
"""
