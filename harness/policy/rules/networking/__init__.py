"""Packets between pods, and out of the cluster."""
