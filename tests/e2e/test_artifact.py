"""What a real source-controller packs of hostile commits, file by file, beside what is laid out."""

import io
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.core.git import Git
from harness.core.values import Value, text
from harness.kubernetes import kinds, reconciliation
from harness.render import artifact, layout
from tests.e2e.scenario import Scenario

Files = Mapping[str, bytes]
Packed = dict[str, tuple[bytes, bool]]

_SOURCE = "hostile-{}"
_MODES = {"link": "120000", "submodule": "160000", "executable": "100755"}
_SUBMODULE = "1" * 40
_PLAIN: Files = {
    "apps/a/service.yaml": b"# $Id$ $Format:%H$\nkind: Service\n",
    "apps/a/policy.yaml": b"kind: NetworkPolicy\n",
    "clusters/x/kustomization.yaml": b"resources: []\n",
    "infra/b/crlf.yaml": b"kind: ConfigMap\r\n",
    "models/lock.yaml": b"models: {}\n",
}
_HOSTILE: dict[str, Files] = {
    "plain": {},
    "export": {".gitattributes": b"policy.yaml export-ignore\nservice.yaml export-subst\n"},
    "content": {
        "apps/.gitattributes": b"*.yaml ident text eol=crlf\n",
        "infra/.gitattributes": b"*.yaml text working-tree-encoding=UTF-16LE\n",
    },
    "lfs": {
        ".gitattributes": b"*.yaml filter=lfs diff=lfs merge=lfs -text\n",
        "apps/large.yaml": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    },
    "ignore-root": {".sourceignore": b"policy.yaml\n"},
    "ignore-nested": {
        "apps/.sourceignore": b"# no policies\n\n/a/policy.yaml\r\nno[a-z]*.yaml\n",
        "apps/a/not-me.yaml": b"1",
        "apps/a/Not-me.yaml": b"2",
        "apps/picture.png": b"packed: the own patterns are gone",
        "infra/b/policy.yaml": b"another folder",
    },
    "ignore-again": {
        "apps/.sourceignore": b"*.yaml\n!service.yaml\nkept/\n!kept/\n",
        "apps/a/.sourceignore": b"!policy.yaml\nservice.yaml\n",
        "apps/kept/other.txt": b"1",
        "infra/.sourceignore": b"b/**/c.yaml\n**/deep\n*\\\n\\!odd.yaml\n[!x]y.yaml\n"
        b"space.yaml  \n",
        "infra/b/c.yaml": b"1",
        "infra/b/1/2/c.yaml": b"1",
        "infra/q/deep/d.yaml": b"1",
        "infra/!odd.yaml": b"1",
        "infra/!y.yaml": b"1",
        "infra/zy.yaml": b"1",
        "infra/space.yaml": b"1",
    },
    "names": {
        **{f"apps/c/{name}": b"1" for name in ("cloudbuild.yaml", "appveyor.yml", ".drone.yml")},
        **{f"apps/c/{name}": b"1" for name in ("a.png", "b.tar.gz", "c.zip", "d.jpg", "e.jpeg")},
        **{f"apps/c/{name}": b"1" for name in (".sops.yaml", ".travis.yml", ".gitlab-ci.yml")},
        **{f"apps/c/{name}": b"1" for name in (".gitignore", ".gitmodules", ".helmignore")},
        "apps/.github/workflows/ci.yaml": b"1",
        "apps/.circleci": b"a file of that name is packed",
        "clusters/.goreleaser.yml": b"1",
        "infra/codeship-steps.yml": b"1",
        "infra/jpg": b"1",
    },
    "links": {
        "apps/a/link.yaml:link": b"policy.yaml",
        "apps/folder:link": b"a",
        "apps/out.yaml:link": b"../../../etc/hostname",
        "apps/module:submodule": b"",
        ".gitmodules": b'[submodule "m"]\n  path = apps/module\n  url = https://example.com/m\n',
        "apps/run.sh:executable": b"#!/bin/sh\n",
    },
    "beginnings": {"apps-old/a.yaml": b"1", "appsfile": b"1", "infrared/b.png": b"1"},
    "characters": {
        "apps/caf\u00e9.yaml": b"1",
        "apps/cafe\u0301.yaml": b"2",
        "apps/Case.yaml": b"1",
        "apps/case.yaml": b"2",
        "apps/a b 'c' \"d\".yaml": b"1",
        "apps/empty.yaml": b"",
        "apps/latin.yaml": b"name: \xe9\n",
    },
}


def test_a_hostile_commit_is_laid_out_as_it_is_packed(shared: Scenario) -> None:
    commits = {name: _commit(shared, {**_PLAIN, **files}) for name, files in _HOSTILE.items()}
    with _followed(shared, commits):
        for name, commit in commits.items():
            packed, laid_out = _packed_files(shared, name), _laid_out(shared.bare.git, commit)
            assert packed.keys() == laid_out.keys(), name
            assert packed == laid_out, name
    shared.notes["commits compared"] = len(commits)


def _commit(scenario: Scenario, files: Files) -> str:
    """A commit of exactly these files; what follows a colon says what is not a plain file."""
    git = scenario.bare.git
    with git.index() as index:
        lines = []
        for name, content in files.items():
            path, _, kind = name.partition(":")
            blob = _SUBMODULE if kind == "submodule" else _blob(git, content)
            lines.append(f"{_MODES.get(kind, '100644')} {blob}\t{path}\0")
        git.run("update-index", "-z", "--index-info", env=index, stdin="".join(lines))
        tree = git.run("write-tree", env=index)
    who = {
        f"GIT_{role}_{what}": "t@t"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    commit = git.run("commit-tree", tree, "-p", scenario.bare.head(), "-m", "Hostile", env=who)
    scenario.bare.move(
        _SOURCE.format(commit[:8]), commit
    )  # a clone of one commit finds it on a branch
    return commit


def _blob(git: Git, content: bytes) -> str:
    argv = ["git", "hash-object", "-w", "--stdin", "--no-filters"]
    result = subprocess.run(argv, cwd=git.folder, input=content, check=True, capture_output=True)
    return result.stdout.decode().strip()


@contextmanager
def _followed(scenario: Scenario, commits: Mapping[str, str]) -> Iterator[None]:
    """A GitRepository for each commit, as release.yaml is one."""
    for name, commit in commits.items():
        scenario.api.apply(_source(scenario, name, commit))
    try:
        yield
    finally:
        ours = [
            (kinds.GIT_REPOSITORY, _SOURCE.format(name), kinds.FLUX_NAMESPACE) for name in commits
        ]
        for each in ours:
            scenario.api.delete(*each)
        # Whoever syncs next asks every source that is listed.
        scenario.api.wait_until_gone(ours, seconds=60)


def _source(scenario: Scenario, name: str, commit: str) -> Value:
    return {
        "apiVersion": kinds.GIT_REPOSITORY.api_version,
        "kind": kinds.GIT_REPOSITORY.name,
        "metadata": {"name": _SOURCE.format(name), "namespace": kinds.FLUX_NAMESPACE},
        "spec": {
            "interval": "10m",
            "url": scenario.cluster.url,
            "ref": {"commit": commit},
            "sparseCheckout": list(artifact.FOLDERS),
        },
    }


def _packed_files(scenario: Scenario, name: str) -> Packed:
    """The files in the artifact, each with its content and whether it can be run."""
    source = scenario.wait_for(kinds.GIT_REPOSITORY, _SOURCE.format(name), reconciliation.ready)
    with urllib.request.urlopen(text(source, "status", "artifact", "url"), timeout=10) as answer:
        content = io.BytesIO(answer.read())
    with tarfile.open(fileobj=content, mode="r:gz") as tar:
        files = [each for each in tar if not each.isdir()]
        return {
            each.name: (file.read(), bool(each.mode & 0o100))
            for each in files
            if (file := tar.extractfile(each))
        }


def _laid_out(git: Git, commit: str) -> Packed:
    entries = list(layout.artifact_entries(git, commit))
    return {
        entry.path: (b"".join(content), entry.mode == "100755")
        for entry, content in git.contents(entries)
    }
