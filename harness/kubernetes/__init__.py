"""Any cluster that runs Flux: the API server, the objects' kinds, and how far Flux has come."""
