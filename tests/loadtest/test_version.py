"""A version that is not the model's default is asked by TorchServe's own path."""

from pathlib import Path

from harness.loadtest import Target, plan
from harness.models.answer import Expected
from harness.models.samples import PreparedSample
from tests.loadtest.cases import profile


def test_each_version_of_the_mix_gets_its_samples_at_its_path(tmp_path: Path) -> None:
    samples = {
        path: (PreparedSample("ranker", version, "s", "text/plain", b"x", Expected()),)
        for path, version in (("ranker", "2.0"), ("ranker/1.0", "1.0"))
    }
    mix = [{"model": "ranker"}, {"model": "ranker/1.0"}]
    planned = plan.prepare(profile(mix=mix), Target("http://host/base"), samples, tmp_path)
    assert [each.path for each in planned.requests] == [
        "/base/predictions/ranker",
        "/base/predictions/ranker/1.0",
    ]
