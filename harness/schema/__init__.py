"""Is each document what its API says? Strict schemas, made on this machine, read by kubeconform."""
