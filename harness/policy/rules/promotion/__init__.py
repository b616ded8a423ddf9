"""Environments: what they share, and what of them reaches production."""
