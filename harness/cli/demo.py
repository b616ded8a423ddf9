"""``harness demo``: models → snapshot → real TorchServe → load test → report, on this machine."""

import argparse
from collections.abc import Iterable

from harness import embedded_server
from harness.cli import options
from harness.cli.loadtest import EXIT_CODE, embedded_target, of_group, print_report
from harness.core import console
from harness.core.errors import InputError
from harness.core.repository import find as find_repository
from harness.loadtest import load_profile, run
from harness.models import answer, build
from harness.models.record import Server
from harness.models.samples import PreparedSample, load_samples

_ENV = "local"
_TIMEOUT = 60  # seconds for one response of a server that is ready: far above any model's


def register(parser: argparse.ArgumentParser) -> None:
    """Add the group, for an environment with several."""
    options.add_group(parser, "only group to serve", "all")
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    repository = find_repository()
    lock = build.build(repository)
    samples = load_samples(repository, lock)
    with embedded_server.running_groups(repository, _ENV, args.group) as servers:
        with console.step("send every model each of its samples") as update:
            for server in servers:
                of_server = [s for path, of in samples.items() for s in of if path in server.models]
                _request(server.inference_url, of_server, update)
        profile = repository.cluster(_ENV) / "loadtest.yaml"
        out = repository.build / "loadtest" / _ENV
        target = embedded_target(repository, _ENV, servers)
        load = of_group(load_profile(profile), repository, _ENV, args.group)
        report = run(load, target, samples, out, source=profile)
    print_report(report, out, as_json=args.json)
    return EXIT_CODE[report.verdict]


def _request(url: str, samples: Iterable[PreparedSample], update: console.Update) -> None:
    server = Server(url, {}, _TIMEOUT)
    for sample in samples:
        update(f"{sample.model} {sample.name}")
        reply = server.ask(sample.model, sample.body, sample.content_type)
        reason = answer.wrong_response(sample.expected, reply.status, reply.body)
        if reason:
            raise InputError(f"{sample.model} gives a wrong response to {sample.name}: {reason}")
