"""One load test, from a profile to its report."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core import console
from harness.core.errors import HarnessError
from harness.loadtest import html, scrape, slo, summary, swarm, validity
from harness.loadtest.plan import Plan, prepare
from harness.loadtest.profile import Profile
from harness.loadtest.recording import Recording
from harness.loadtest.report import (
    ChecksPart,
    Confidence,
    Evaluated,
    GeneratorPart,
    ProfilePart,
    Report,
    Setup,
    TargetPart,
    decide,
    write,
)
from harness.loadtest.swarm import Started, Workers
from harness.loadtest.target import Target
from harness.models.samples import PreparedSample

_LIVE = 5.0  # seconds that the live line looks back: long enough for a p99 to mean something
_VERSIONS = ("locust", "gevent", "geventhttpclient", "grpcio", "hdrhistogram")


def run(
    profile: Profile,
    target: Target,
    samples: Mapping[str, Sequence[PreparedSample]],
    out_dir: Path,
    *,
    source: Path | None = None,
    workers: Workers | None = None,
) -> Report:
    """Put ``profile`` on ``target`` and write report.json, report.html and report.junit.xml.

    Args:
        samples: the prepared requests of each model in the mix.
        out_dir: where the reports go, and next to them the plan and the generators' log.
        source: the file that the profile came from; its folder holds what it refers to.

    Raises:
        InputError: the profile names a model, sample or file that does not exist.
        HarnessError: the generators or the target gave no figures to evaluate.
    """
    plan = prepare(profile, target, samples, source.parent if source else Path.cwd())
    recording, workers = Recording(profile, plan), workers or Workers()
    metrics = target.metrics()
    scraper = scrape.Scraper(metrics) if metrics else None
    before = target.release()
    started = _measure(plan, workers, out_dir, recording, scraper)
    if not recording.total(range(len(recording.segments))).due:
        raise HarnessError("not one request was due", hint="give a stage a rate above 0")
    after = target.release()
    lasted = profile.lasting(recording.finish()) if profile.count else profile
    setup = Setup(
        started=datetime.datetime.fromtimestamp(started, datetime.UTC).isoformat("T", "seconds"),
        target=_target(target, profile),
        embedded=target.embedded,
        profile=_profile(profile, source),
        release=after,
        server=scrape.summary(scraper, recording.spans) if scraper else None,
        unread=scraper.unread if scraper else [],
        generator=_generator(recording, workers),
    )
    change = None if before == after else f"{before} → {after}"
    evaluated = _evaluate(lasted, recording, change)
    report = Report.of(setup, summary.measure(lasted, recording, plan.run), evaluated)
    write(report, out_dir, html.render(report))
    return report


def _evaluate(profile: Profile, recording: Recording, release_change: str | None) -> Evaluated:
    slos = slo.evaluate(profile, recording)
    checks = validity.evaluate(profile, recording, slos, release_change)
    verdict, reasons = decide(slos, checks)
    passed = {check.name: check.passed for check in checks}
    confidence = Confidence(
        level=profile.judge.confidence,
        sufficient=passed["sample size"],
        steady=passed["steady state"],
    )
    return Evaluated(verdict, reasons, slos, checks, confidence)


def _measure(
    plan: Plan,
    workers: Workers,
    folder: Path,
    recording: Recording,
    scraper: scrape.Scraper | None,
) -> float:
    """Run the generators to their end. Returns the schedule's second 0 as Unix time."""
    started = 0.0
    try:
        with console.step(f"load test of {plan.url}") as update:
            for event in swarm.run(plan, workers, folder):
                if isinstance(event, Started):
                    started = event.at
                    if scraper:
                        scraper.start(started)
                else:
                    recording.add(event)
                    update(_status(recording, time.time() - started))
    finally:
        if scraper:
            scraper.stop()
    return started


def _status(recording: Recording, now: float) -> str:
    """The live line: the last seconds' rate and p99, failures so far, time left."""
    first = max(0.0, now - _LIVE)
    recent = [part for (number, _), part in recording.bins.items() if number >= first]
    responses = sorted(value for part in recent for value in part.responses)
    p99 = f"{responses[int(0.99 * (len(responses) - 1))] / 1000:,.0f}" if responses else "–"
    rate = sum(part.answered for part in recent) / min(_LIVE, max(1.0, now))
    failures = sum(recording.groups.values())
    remaining = max(0.0, recording.segments[-1].end - now)
    return f"{rate:,.0f}/s · p99 {p99} ms · {failures:,} failed · {remaining:,.0f} s left"


def _target(target: Target, profile: Profile) -> TargetPart:
    return TargetPart(
        url=target.url,
        servers={group.name: group.url for group in target.groups if group.url},
        host=target.host,
        protocol=profile.protocol,
        gateway=target.cluster.name if target.cluster else None,
        verified=not profile.insecure,
    )


def _profile(profile: Profile, source: Path | None) -> ProfilePart:
    path = str(source) if source else None
    return ProfilePart(path=path, sha256=profile.sha256, content=profile.content)


def _generator(recording: Recording, workers: Workers) -> GeneratorPart:
    return GeneratorPart(
        processes=workers.count,
        cpu_max=validity.busiest(recording.loads),
        in_flight_max=max((load.in_flight for load in recording.loads), default=0),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        checks=ChecksPart(**dataclasses.asdict(recording.checks)),
        versions={name: importlib.metadata.version(name) for name in _VERSIONS},
    )
