"""The way from a client to a model: listeners, callers, certificates, routes."""
