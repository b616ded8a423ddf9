"""What else of an environment follows from what it serves: release, Flux timeout, load test.

The files were written for another environment. Only their lines about models and times are changed,
so that its comments stay.
"""

import re
from math import ceil, floor
from pathlib import Path
from textwrap import indent

import yaml

from harness.core import yamlfile
from harness.importing.outcome import Imported

DRAIN = 160
"""Seconds: the chart's default drainSeconds, for answers up to that long."""

_STARTUP = 120  # seconds: the longest startupTimeout that the timeouts below are made for
_RELEASE, _KUSTOMIZATION = 40, 75  # minutes: what base/ and apps.yaml have for those
_STAGES = re.compile(r"(?m)^stages:\n(?:[ #].*\n)*")
_COMMENT = re.compile(r"(?m)^ *#.*\n")
_PODS = 2  # that roll one after the other


def texts(group: Path, cluster: Path, imported: Imported) -> dict[Path, str]:
    """The files of an environment that change, and their new text."""
    paths = {
        group / "helmrelease.yaml": _release,
        cluster / "apps.yaml": _kustomization,
        cluster / "loadtest.yaml": _loadtest,
    }
    return {
        path: change(yamlfile.read_text(path), imported)
        for path, change in paths.items()
        if path.is_file()
    }


def _release(text: str, imported: Imported) -> str:
    """The GPUs, a drain as long as the longest answer, and a test that asks a model of these."""
    longest = _longest(imported, "response_timeout")
    drain = re.search(r"(?m)^    drainSeconds: (\d+)$", text)
    if longest > (int(drain[1]) if drain else DRAIN):
        text = _with_value(text, "drainSeconds", longest)
    gpus = imported.server.number_of_gpu
    if gpus != 1 or re.search(r"(?m)^    gpus:", text):
        text = _with_value(text, "gpus", gpus)
    if more := _more_minutes(imported):
        text = re.sub(r"(?m)^  timeout: .*\n", "", text)
        text = re.sub(r"(?m)^spec:\n", f"spec:\n  timeout: {_RELEASE + more}m\n", text, count=1)
    if imported.environment and "\n    env:" not in text:
        pairs = [{"name": k, "value": v} for k, v in sorted(imported.environment.items())]
        listed = yaml.safe_dump({"env": pairs}, sort_keys=False, default_style=None)
        text = re.sub(r"(?m)^  values:\n", lambda line: line[0] + indent(listed, "    "), text)
    for name in list(imported.models)[:1]:
        text = re.sub(r"(?m)^      model: .*$", f"      model: {name}", text)
        text = re.sub(r"(?m)^ *# A random picture.*\n", "", text)
        text = re.sub(r"(?m)^      answer: .*\n", "", text)
    return text


def _with_value(text: str, key: str, number: int) -> str:
    line = f"    {key}: {number}\n"
    changed, count = re.subn(rf"(?m)^    {key}:.*\n", line, text)
    return changed if count else re.sub(r"(?m)^  values:\n", f"  values:\n{line}", text)


def _kustomization(text: str, imported: Imported) -> str:
    more = _more_minutes(imported)
    minutes = _KUSTOMIZATION + 2 * more  # the rollout, and the return to the last release
    return re.sub(r"(?m)^  timeout: \d+m$", f"  timeout: {minutes}m", text) if more else text


def _more_minutes(imported: Imported) -> int:
    """How much longer than with short answers and starts a rollout may take."""
    drain = max(0, _longest(imported, "response_timeout") - DRAIN)
    startup = max(0, _longest(imported, "startup_timeout") - _STARTUP)
    return ceil(_PODS * (drain + startup) / 60)


def _longest(imported: Imported, setting: str) -> int:
    return max((getattr(each.entry, setting) for each in imported.models.values()), default=0)


def _loadtest(text: str, imported: Imported) -> str:
    """Send requests to the models that are served, and expect nothing of others."""
    if not imported.models:
        return text
    mix = "".join(f"  - model: {name}\n    weight: 1\n" for name in imported.models)
    text = re.sub(r"(?m)^mix:\n(?:[ #].*\n)*", f"mix:\n{mix}", text)
    served = "|".join(re.escape(name) for name in imported.models)
    text = re.sub(rf"(?m)^  - of: (?!(?:{served})\n).*\n(?:    .*\n)*", "", text)
    # Its comments tell figures of the other environment: its requests, its job queue.
    text = _STAGES.sub(lambda stages: _COMMENT.sub("", stages[0]), text)
    return _within_queue(text, imported)


def _within_queue(text: str, imported: Imported) -> str:
    """Rates at which a model's queue holds what arrives within the promised latency."""
    slos = yaml.safe_load(text).get("slos", [])
    limits = [limit for slo in slos for limit in slo.get("latency", {}).values()]
    if not limits:
        return text
    rate = imported.server.job_queue_size / (max(limits) / 1000)  # of one model, per second
    most = rate * len(imported.models)

    def lower(match: re.Match[str]) -> str:
        # What arrives varies: a promise of all of it would be missed half the time.
        limit = floor(most * (95 if "throughput" in match[1] else 100)) / 100
        return match[0] if float(match[2]) <= limit else f"{match[1]}{limit:g}"

    return re.sub(r"(?m)^(    (?:rate|from|to|peak|throughput): )([0-9.]+)$", lower, text)
