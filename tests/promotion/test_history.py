"""What Git remembers of a pointer's moves, and what an environment ran when."""

import json
from pathlib import Path

from harness.attestation import pointer
from harness.attestation.signature import Signers
from harness.promotion import evidence_store, history, overview, releases
from harness.promotion.evidence_store import Folder
from harness.promotion.overview import Side
from harness.render import digest
from harness.render.renderer import Renderer
from tests.promotion import cases
from tests.promotion.conftest import Clone


def test_moves_are_listed_newest_first(clone: Clone) -> None:
    start = history.pins(clone.repository, "production")[0].commit
    first = clone.change(1)
    clone.pin(first)
    clone.edit("clusters/production/release.yaml", "interval: 1m", "interval: 2m")
    clone.commit("Not a move")
    moves = history.pins(clone.repository, "production")
    assert [each.commit for each in moves] == [first, start]
    assert (moves[0].by, moves[0].why) == ("Ada", f"Pin {first[:12]}")
    assert moves[0].evidence is None


def test_environment_that_follows_main_has_no_moves(clone: Clone) -> None:
    assert history.pins(clone.repository, "staging") == []


def test_pointer_is_read_as_flux_reads_it() -> None:
    decoy = f"metadata:\n  annotations:\n    commit: {'b' * 40}\n"
    for text in (
        f"spec:\n  ref:\n    commit: {'a' * 40}\n",
        f'spec:\n  ref:\n    commit: "{"a" * 40}"\n',
        f"{decoy}spec: {{ref: {{commit: {'a' * 40}}}}}\n",
    ):
        assert pointer.read(text) == "a" * 40
    for text in ("spec:\n  ref:\n    commit: UNSET\n", decoy, "a: [", ""):
        assert pointer.read(text) is None


def test_evidence_that_cannot_be_read_is_no_evidence(clone: Clone) -> None:
    commit = clone.change(1)
    path = clone.root / pointer.evidence("production", commit)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema_version": 1}))
    clone.pin(commit)
    assert history.pins(clone.repository, "production")[0].evidence is None


def test_followed_environment_lists_what_changed_it_with_its_load_tests(
    clone: Clone, tmp_path: Path
) -> None:
    changed = clone.change(1)
    (clone.root / "models" / "README.md").write_text("Words.\n")
    clone.commit("Words under models/")
    named = digest.release_digest(Renderer(clone.repository).at("staging", changed))
    report = tmp_path / "report.json"
    release = {"commit": changed, "digest": named, "helm": "", "pods": ""}
    report.write_text(cases.load_report(release=release).model_dump_json())
    store = Folder(tmp_path / "evidence")
    evidence_store.add(store, "staging", report, None, Signers(""))
    first, second, *_ = releases.recent(clone.repository, "staging", store, 10)
    assert (first.commit, first.digest, first.why) == (changed, named, "Queue 1")
    assert (first.verdict, first.p95) == ("pass", 20.0)
    assert second.verdict == ""


def test_page_shows_both_sides_and_escapes_what_people_wrote(clone: Clone) -> None:
    clone.change(1)
    clone.git.run("commit", "--quiet", "--amend", "--message", "<script>alert(1)</script>")
    staging = releases.recent(clone.repository, "staging", None, 10)
    production = releases.recent(clone.repository, "production", None, 10)
    ahead = clone.git.log(f"{production[0].commit}..HEAD")
    html = overview.render(Side("staging", staging), Side("production", production), ahead)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert f"{len(ahead)} ahead" in html
    assert production[0].commit[:12] in html
