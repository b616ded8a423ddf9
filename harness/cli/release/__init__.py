"""``harness release``: an action per module, since each imports much that the others do not."""

import argparse
import importlib


def register(parser: argparse.ArgumentParser, action: str) -> None:
    """Add the options of one action."""
    importlib.import_module(f"harness.cli.release.{action}").register(parser)
