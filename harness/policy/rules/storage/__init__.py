"""Volumes and the model store."""
