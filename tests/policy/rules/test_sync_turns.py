"""Sync Jobs of two groups: one account, one store, and time for both."""

from pathlib import Path

from harness.policy import engine
from harness.settings import groups
from tests.support import variation

BASE = "apps/torchserve/base/helmrelease.yaml"
# Each group has pods with GPUs, and this repository's nodes have none to spare.
GPUS = "gpu/rollout-fits"


def test_two_groups_need_no_second_account_but_time_for_each_other(tmp_path: Path) -> None:
    repository = variation.copy(tmp_path)
    for env in ("local", "staging", "production"):
        groups.apply(repository, env, groups.add(repository, env, "speech", ["silero_vad"]))
    assert {each.rule for each in engine.check(repository).findings} == {GPUS, "helm/sync-turns"}

    base = tmp_path / BASE
    turns = "enabled: true\n        deadlineSeconds: 900\n        waitSeconds: 900"
    base.write_text(base.read_text().replace("enabled: true", turns, 1))
    assert {each.rule for each in engine.check(repository).findings} == {GPUS}
