"""The cluster itself and what of AWS it is given: eksctl.yaml, nodes, roles."""
