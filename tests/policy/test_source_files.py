"""What is remembered of files that have not changed."""

import json

from harness.policy import source_files
from harness.render.renderer import Renderer
from tests.support.miniature import Miniature


def test_what_an_older_lint_reported_of_the_same_file_is_forgotten(miniature: Miniature) -> None:
    renderer = Renderer(miniature.repository)
    assert list(source_files.lint_yaml(renderer, ())) == []
    (memory,) = (miniature.repository.build / "check/cache").glob("yaml-lint-*")
    outdated = {
        "older " + key.split(" ", 1)[1]: ["stale"] for key in json.loads(memory.read_text())
    }
    memory.write_text(json.dumps(outdated))

    assert list(source_files.lint_yaml(renderer, ())) == []
