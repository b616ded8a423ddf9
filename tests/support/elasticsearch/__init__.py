"""A real Elasticsearch on loopback, from its Java libraries (jars.lock), which are fetched once.

    with elasticsearch.running(checkout, tmp_path) as store:
        store.put("_index_template/logs", template)

What its libraries lack (ILM, security, scripts, Kibana) is not in it.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from harness.core.repository import Repository
from tests.support import search_node
from tests.support.search_node import SearchNode

LOCK = Path(__file__).with_name("jars.lock")


def running(repository: Repository, folder: Path) -> AbstractContextManager[SearchNode]:
    """A node with its data in ``folder``, for as long as the block runs."""
    return search_node.running("elasticsearch", LOCK, repository, folder)
