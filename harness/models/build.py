"""From the catalog to build/models: archives, lock, and what each sample must be answered."""

from harness.core.repository import Repository
from harness.models.lock import Lock


def build(repository: Repository, *, rebuild: bool = False) -> Lock:
    """Build every model whose inputs changed; ``rebuild`` builds them all.

    Returns:
        The lock of what was built, as in ``build/models/lock.yaml``.
    """
    raise NotImplementedError
