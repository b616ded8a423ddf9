"""From the bucket to an answer: pushed, copied by the Job, served by the real TorchServe."""

import shutil
import urllib.request
from pathlib import Path

import pytest

from harness import embedded_server
from harness.archives.push import Bucket
from harness.core import console
from harness.core.repository import Repository
from harness.models import answer, build, samples
from tests.archives.sync_job import Job, job

__all__ = ["job"]


@pytest.mark.torchserve
def test_what_the_job_copied_answers_right(
    checkout: Repository, bucket: Bucket, job: Job, tmp_path: Path
) -> None:
    lock = build.build(checkout)
    with console.step("push") as update:
        for locked in lock.models.values():
            bucket.push(build.store(checkout) / locked.mar, locked, update)
    code, out = job.wants(*lock.models.values()).run()
    assert code == 0, out

    repository = Repository(tmp_path / "checkout")
    shutil.copytree(
        checkout.built_models, repository.built_models, ignore=shutil.ignore_patterns("model-store")
    )
    (repository.built_models / "model-store").symlink_to(job.store)
    for folder in ("apps", "clusters", "models"):
        (repository.root / folder).symlink_to(checkout.root / folder)
    prepared = samples.load_samples(repository, lock)
    with embedded_server.running(repository) as served:
        for sample in (each for every in prepared.values() for each in every):
            url = f"{served.inference_url}/predictions/{sample.model}"
            request = urllib.request.Request(
                url, sample.body, {"Content-Type": sample.content_type}
            )
            with urllib.request.urlopen(request, timeout=60) as reply:
                assert answer.wrong(sample.expected, reply.read()) is None
