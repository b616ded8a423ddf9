"""A real OpenSearch on loopback, from its Java libraries (jars.lock), which are fetched once.

    with opensearch.running(checkout, tmp_path) as store:
        store.put("_ingest/pipeline/logs", pipeline)

With scripts and ingest pipelines. What its libraries lack: security, retention (ISM), Dashboards.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from harness.core.repository import Repository
from tests.support import search_node
from tests.support.search_node import SearchNode

LOCK = Path(__file__).with_name("jars.lock")


def running(repository: Repository, folder: Path) -> AbstractContextManager[SearchNode]:
    """A node with its data in ``folder``, for as long as the block runs."""
    return search_node.running("opensearch", LOCK, repository, folder)
