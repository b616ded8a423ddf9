"""How a commit becomes objects in the cluster: files, Flux, Helm and what each of them names."""
