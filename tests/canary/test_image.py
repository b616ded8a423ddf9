"""The image of gate and shadow has what they import."""

import subprocess
import sys

from harness import image_sets
from harness.core.repository import Repository

_PRINT_PACKAGES = """
import importlib.metadata, sys
before = set(sys.modules)  # an environment may import at every start, as setuptools has it
import harness.cli.canary
owners = importlib.metadata.packages_distributions()
for module in {name.partition(".")[0] for name in sys.modules.keys() - before} & owners.keys():
    print(*owners[module])
"""


def test_what_they_import_is_in_it(checkout: Repository) -> None:
    argv = [sys.executable, "-c", _PRINT_PACKAGES]
    output = subprocess.run(argv, cwd=checkout.root, capture_output=True, text=True, check=True)
    lock = checkout.root / "infra/canary/image/requirements.txt"
    packages = {name.lower().replace("_", "-") for name in output.stdout.split()}
    assert "h11" in packages
    assert packages - {"torchserve-gitops"} <= image_sets.pins(lock.read_text()).keys()
