"""What a commit is laid out as: what Flux applies of it, whatever Git's attributes say."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.core.errors import InputError
from harness.render import diff, digest
from harness.render.renderer import Renderer
from harness.render.tree import at_commit
from tests.support.miniature import Miniature

BINDING = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: everything}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: default, namespace: demo}]
"""
SERVICE = "apps/base/service.yaml"


@pytest.fixture
def committed(miniature: Miniature) -> Miniature:
    miniature.commit()
    return miniature


def _changes(miniature: Miniature, old: str, new: str) -> set[str]:
    renderer = Renderer(miniature.repository)
    compared = diff.compare(renderer.at("demo", old), renderer.at("demo", new))
    return {f"{each.kind} {each.object}" for each in compared}


def _digest(miniature: Miniature, commit: str) -> str:
    return digest.release_digest(Renderer(miniature.repository).at("demo", commit))


def test_a_template_that_an_archive_leaves_out_is_in_the_diff_and_the_digest(
    committed: Miniature,
) -> None:
    clean = committed.git("rev-parse", "HEAD")
    committed.write("apps/chart/templates/evil.yaml", BINDING)
    committed.write(".gitattributes", "apps/chart/templates/evil.yaml export-ignore\n")
    hostile = committed.commit()
    assert "added ClusterRoleBinding/everything" in _changes(committed, clean, hostile)
    assert _digest(committed, hostile) != _digest(committed, clean)


def test_what_a_nested_sourceignore_leaves_out_is_gone_from_the_render(
    committed: Miniature,
) -> None:
    clean = committed.git("rev-parse", "HEAD")
    committed.write("apps/.sourceignore", "hook.yaml\n")
    hostile = committed.commit()
    assert "removed Job/demo/prepare" in _changes(committed, clean, hostile)
    assert _digest(committed, hostile) != _digest(committed, clean)


def test_a_template_with_a_name_of_a_ci_system_is_not_applied(committed: Miniature) -> None:
    clean = committed.git("rev-parse", "HEAD")
    committed.git("mv", "apps/chart/templates/hook.yaml", "apps/chart/templates/cloudbuild.yaml")
    assert "removed Job/demo/prepare" in _changes(committed, clean, committed.commit())


def test_what_only_an_upgrade_renders_changes_the_digest(committed: Miniature) -> None:
    clean = committed.git("rev-parse", "HEAD")
    hidden = f"{{{{ if .Release.IsUpgrade }}}}\n{BINDING}{{{{ end }}}}\n"
    committed.write("apps/chart/templates/evil.yaml", hidden)
    hostile = committed.commit()
    assert _digest(committed, hostile) != _digest(committed, clean)


@pytest.mark.parametrize(
    ("attribute", "line"),
    [
        ("export-subst", "# $Format:%H$\n"),
        ("ident", "# $Id$\n"),
        ("text eol=crlf", "# a line\n"),
        ("text working-tree-encoding=UTF-16LE", "# ü\n"),
        ("filter=upper", "# lower\n"),
    ],
)
@pytest.mark.parametrize("place", [".gitattributes", "apps/.gitattributes", ".git/info/attributes"])
def test_a_file_is_what_its_blob_is(
    committed: Miniature, attribute: str, line: str, place: str
) -> None:
    committed.git("config", "filter.upper.smudge", "tr a-z A-Z")
    file = committed.root / SERVICE
    blob = (line + file.read_text()).encode()
    file.write_bytes(blob)
    commit = committed.commit()
    committed.write(place, f"service.yaml {attribute}\n")
    if not place.startswith(".git/"):
        committed.git("add", place)
        committed.git("commit", "--quiet", "--message", "attributes")
        commit = committed.git("rev-parse", "HEAD")
    assert (at_commit(committed.repository, commit).root / SERVICE).read_bytes() == blob


def test_a_replaced_object_is_not_read(committed: Miniature) -> None:
    clean = committed.git("rev-parse", "HEAD")
    committed.edit(SERVICE, "port: 80", "port: 81")
    other = committed.commit()
    committed.git("replace", clean, other)
    text = (at_commit(committed.repository, clean).root / SERVICE).read_text()
    assert "port: 81" not in text


def test_links_and_submodules_are_in_no_artifact(committed: Miniature) -> None:
    (committed.root / "apps/link.yaml").symlink_to("base/service.yaml")
    committed.git("add", "--all")
    head = committed.git("rev-parse", "HEAD")
    committed.git("update-index", "--add", "--cacheinfo", f"160000,{head},apps/module")
    committed.git("commit", "--quiet", "--message", "links")
    root = at_commit(committed.repository, "HEAD").root
    assert not (root / "apps/link.yaml").is_symlink()
    assert not (root / "apps/module").exists()


def test_a_tree_that_leads_out_of_its_folder_is_refused(committed: Miniature) -> None:
    blob = committed.git("rev-parse", f"HEAD:{SERVICE}")
    inner = _literal_tree(committed, ("100644", "x.yaml", blob))
    outer = _literal_tree(committed, ("40000", "..", inner))
    top = _literal_tree(committed, ("40000", "apps", outer))
    commit = committed.git("commit-tree", top, "-m", "out")
    with pytest.raises(InputError, match=r"apps/\.\./x\.yaml"):
        at_commit(committed.repository, commit)


def _literal_tree(miniature: Miniature, *entries: tuple[str, str, str]) -> str:
    content = b"".join(
        f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, name, oid in entries
    )
    argv = ["git", "-C", str(miniature.root), "hash-object", "-t", "tree", "-w", "--stdin"]
    written = subprocess.run([*argv, "--literally"], input=content, capture_output=True, check=True)
    return written.stdout.decode().strip()


@pytest.mark.parametrize("name", ["back\\slash.yaml", "bell\a.yaml", b"\xff.yaml"])
def test_a_name_that_flux_cannot_unpack_is_refused(committed: Miniature, name: str | bytes) -> None:
    Path(committed.root, "apps", os.fsdecode(name)).touch()
    commit = committed.commit()
    with pytest.raises(InputError, match="Flux"):
        at_commit(committed.repository, commit)


def test_the_digest_of_before_still_names_the_release_that_it_named(committed: Miniature) -> None:
    renderer = Renderer(committed.repository)
    recorded = renderer.at("demo", "HEAD")
    assert digest.matches(recorded, digest.release_digest(recorded))
    assert digest.matches(recorded, digest.objects_digest(recorded))
    committed.edit("apps/demo/helmrelease.yaml", "replicas: 2", "replicas: 5")
    changed = renderer.at("demo", committed.commit())
    assert not digest.matches(changed, digest.objects_digest(recorded))
