"""The cluster of this machine: a real Kubernetes and a real Flux as processes, with fake nodes.

etcd, the API server, its controllers, the scheduler and Flux's own controllers are the released
programs. Nodes and pods are kwok's: scheduled and counted like any other, but no container runs
in them. Everything listens on loopback and lies under ``build/cluster/<name>``.
"""
