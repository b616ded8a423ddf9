"""``harness demo``: models → snapshot → real TorchServe → load test → report, on this machine."""

import argparse
import urllib.error
import urllib.request
from collections.abc import Iterable

from harness import embedded_server
from harness.cli.loadtest import EXIT_CODE, print_report
from harness.core import console, repository
from harness.core.errors import InputError
from harness.loadtest import Target, load_profile, run
from harness.models import answer, build
from harness.models.samples import PreparedSample, load_samples

_ENV = "local"
_PATIENCE = 60  # seconds for one answer of a server that is ready: far above any of the models


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``harness demo``."""
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    checkout = repository.find()
    lock = build.build(checkout)
    samples = load_samples(checkout, lock)
    with embedded_server.running(checkout, _ENV) as served:
        with console.step("ask every model for each of its samples") as update:
            _ask(served.inference_url, [s for of in samples.values() for s in of], update)
        profile = checkout.cluster(_ENV) / "loadtest.yaml"
        out = checkout.build / "loadtest" / _ENV
        target = Target(served.inference_url, launcher_url=served.launcher_url, embedded=True)
        report = run(load_profile(profile), target, samples, out, source=profile)
    print_report(report, out, as_json=args.json)
    return EXIT_CODE[report.verdict]


def _ask(url: str, samples: Iterable[PreparedSample], update: console.Update) -> None:
    for sample in samples:
        update(f"{sample.model} {sample.name}")
        request = urllib.request.Request(  # noqa: S310 - loopback, from server.running
            f"{url}/predictions/{sample.model}",
            data=sample.body,
            headers={"Content-Type": sample.content_type},
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as reply:  # noqa: S310
                reason = answer.wrong(sample, reply.read())
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code}: {error.read(500).decode(errors='replace')}"
        if reason:
            raise InputError(f"{sample.model} answers {sample.name} wrongly: {reason}")
