"""Judges what was rendered. Rules are pure: they read objects and yield findings, nothing else."""
