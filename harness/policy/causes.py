"""One finding for one cause: what only follows from another finding is left out.

A file that cannot be read is said to be so once, not again for every tool that cannot read it. What
is left out comes back with the next check if it has a cause of its own.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from harness.policy.exceptions import Suppression
from harness.policy.finding import Finding, Severity

WORKLOADS = ("Deployment/", "StatefulSet/", "DaemonSet/", "Job/")

UNREADABLE = {"yaml/unreadable", "yaml/tab", "yaml/duplicate-key"}
MISREAD = {"helm/values-known", "schema/eksctl", "schema/invalid"}
"""Rules that say a key or a value is not what was meant: what else its object is said to lack
follows."""

RENDER = {"render/kustomize", "render/helm"}
SAME_LINE = {
    ("gpu/rollout-fits", "gpu/number-of-gpu"),
    ("helm/values-recorded", "render/not-rendered"),
    ("helm/values-resources", "capacity/pod-fits-node"),
    ("helm/values-resources", "resources/quantity"),
    ("monitoring/durations", "schema/invalid"),
    ("helm/values-unconfirmed", "yaml/boolean"),
    ("networking/reaches", "networking/ports"),
    ("nodes/disk", "capacity/pod-fits-node"),
    ("promotion/evidence", "release/pointer"),
    ("promotion/unverified", "release/pointer"),
    ("render/variable", "yaml/lost-quotes"),
    ("schema/invalid", "yaml/lost-quotes"),
    ("sources/allowed-urls", "sources/tls"),
}
"""Of two rules about one line the first one's finding follows from the second one's."""

SAME_FILE = {
    ("files/readable", "slos/coherent"),
    ("files/readable", "snapshot/load"),
    ("slos/coherent", "snapshot/load"),
}
"""The same of two rules about one file."""

COMPARISONS = {
    "environments/not-smaller",
    "environments/protection",
    "environments/proven-models",
    "environments/proven-settings",
    "environments/proven-versions",
    "environments/same-objects",
    "environments/same-policies",
}
"""Rules that only say that two environments differ; another one may say what is wrong with it."""

REFUSALS = {"admission/refused", "api/immutable", "api/refused"}
"""Rules that pass on what the API server says of an object: a rule of ours may say why."""

OF_A_FILE = {"kustomize/unlisted", "snapshot/up-to-date"}
"""Rules about a whole file: what is wrong in it comes first."""

UNREAD = "helm/values-read"
"""Of a chart whose template is wrong, the values that it no longer reads follow."""

CONSEQUENCES = {
    # A manifest that nobody lists may be what is not there.
    "kustomize/unlisted": {
        "availability/budget",
        "exceptions/unused",
        "gateway/authenticated",
        "gateway/request-timeout",
        "networking/default-deny",
        "networking/isolated",
        "nvidia/one-plugin",
        "references/exists",
    },
    # Who follows a name that is wrong gets nowhere.
    "namespaces/declared": {"helm/release-identity", "networking/selects"},
    "networking/selects": {"networking/callbacks", "routes/own-group"},
    "references/by-content": {"references/watch-label"},
    "references/exists": {
        "exceptions/unused",
        "gateway/authenticated",
        "gateway/private",
        "gateway/request-timeout",
        "networking/reaches",
        "networking/selects",
        "references/watch-label",
        "render/not-rendered",
        "sources/by-digest",
    },
    "torchserve/ports": {"networking/ports"},
    "render/kustomize": {"kustomize/unlisted"},
    # A part of what the other says.
    "cluster/gpu-nodes": {"nodes/chosen-by-values"},
    "cluster/zones": {"nodes/offered"},
    "flux/settings": {"flux/timeouts-nest"},
    "flux/source": {"references/provided"},
    "gpu/node-selector": {"nodes/chosen-by-values"},
    "lifecycle/workspace-fits-models": {"snapshot/up-to-date"},
    "models/known-settings": {"models/locked"},
    "nvidia/one-plugin": {"references/exists"},
    "pod-security/host": {"lifecycle/writable"},
    "probes/liveness-is-patient": {"lifecycle/probes-ask-launcher"},
    "probes/port": {"lifecycle/probes-ask-launcher"},
    "release/entry-point": {"schema/none"},
    "snapshot/listed": {"references/exists", "torchserve/served"},
    "resources/quantity": {"gpu/shared-memory", "resources/empty-dir-limit"},
    "release/one-url": {"sources/allowed-urls"},
}
"""Of each rule those that may find what follows from its finding, wherever that is."""

BY_WORDS = {
    "api/refused",
    "flux/depends-on",
    "gateway/request-timeout",
    "gateway/tls",
    "monitoring/selected",
    "nvidia/one-plugin",
    "references/exists",
}
"""Rules whose words name the cause: the same words at several places are about one."""


def causes(
    findings: Sequence[Finding],
    first: Collection[str],
    environments: Collection[str] = (),
    void: Sequence[Suppression] = (),
) -> list[Finding]:
    """The findings that do not follow from others.

    Args:
        findings: everything that no exception covers.
        first: the rules after whose finding the others of an environment mean little: two
            Kustomizations that apply one folder, say.
        environments: the names of all environments.
        void: the exceptions that have expired or are too wide. That is said of them; what they were
            for follows.
    """
    remaining = _Explained(findings, first, environments, void).others()
    lost = any(map(_is_error, findings)) and not any(map(_is_error, remaining))
    return list(_merge(findings if lost else remaining))


class _Explained:
    """What some findings explain, so that others need not be said."""

    def __init__(
        self,
        findings: Sequence[Finding],
        first: Collection[str],
        environments: Collection[str],
        void: Sequence[Suppression],
    ) -> None:
        self.findings, self.first, self.void = findings, first, void
        self.environments = {*environments}
        errors = list(filter(_is_error, findings))
        self.unreadable = {each.location.path for each in errors if each.rule in UNREADABLE}
        self.broken = {name for each in errors if each.rule in first for name in each.environments}
        self.rules = {each.rule for each in errors}
        self.lines = {(each.rule, str(each.location)) for each in errors}
        self.paths = {(each.rule, each.location.path) for each in errors}
        particular = [each for each in errors if each.rule not in COMPARISONS]
        self.differing = any(len(self._sides(each)) == 1 for each in particular)
        self.places = {
            name for each in particular for name in (each.object, str(each.location))
        } - {""}
        self.objects = {each.object for each in particular if each.rule not in REFUSALS} - {""}
        self.misread = {
            name
            for each in errors
            if each.rule in MISREAD
            for name in (each.object, str(each.location.path))
        } - {""}
        self.files = {each.location.path for each in errors if each.rule not in OF_A_FILE}
        self.templates = any("templates" in each.location.path.parts for each in errors)

    def others(self) -> list[Finding]:
        """The findings that nothing here explains."""
        return [each for each in self.findings if not self._explains(each)]

    def _sides(self, finding: Finding) -> set[str]:
        """The environments that a finding is about, or in whose files it is."""
        return {*finding.environments} or {*finding.location.path.parts} & self.environments

    def _explains(self, finding: Finding) -> bool:
        rule, line, path = finding.rule, str(finding.location), finding.location.path
        is_first = rule in UNREADABLE or rule in self.first or rule.startswith("yaml/")
        about = {finding.object, str(path)}
        return not is_first and any(
            (
                rule in COMPARISONS and (self.differing or {finding.object, line} & self.places),
                rule in REFUSALS and finding.object in self.objects,
                rule in OF_A_FILE and path in self.files,
                rule == UNREAD and self.templates,
                rule not in MISREAD and about & self.misread,
                any(rule in CONSEQUENCES.get(each, ()) for each in self.rules),
                any((cause, line) in self.lines for each, cause in SAME_LINE if each == rule),
                any((cause, path) in self.paths for each, cause in SAME_FILE if each == rule),
                any(_covers(each, finding) for each in self.void),
                path in self.unreadable,
                # A finding of no environment may compare those that are broken.
                self.broken and {*finding.environments} <= self.broken,
            )
        )


_VALUE = re.compile(r"^.*?: Invalid value: (\"[^\"]*\"|\S+): ")


def _is_error(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR


def _covers(suppression: Suppression, finding: Finding) -> bool:
    return all(suppression.covers(finding, name) for name in finding.environments or ("",))


def _distance(finding: Finding) -> tuple[int, bool, str]:
    """How far from the cause: what more environments have is nearer, and what a workload has."""
    is_workload = finding.object.startswith(WORKLOADS)
    return (-len(finding.environments), not is_workload, finding.message)


def _merge(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Of what one rule says of one line, or in the same words, one."""
    nearest_first = sorted(findings, key=_distance)
    return _one_for_each(_one_for_each(nearest_first, _place), _words)


def _one_for_each(
    findings: Iterable[Finding], key: Callable[[Finding], tuple[str, ...]]
) -> list[Finding]:
    merged: dict[tuple[str, ...], Finding] = {}
    for each in findings:
        first = merged.setdefault(key(each), each)
        both = dict.fromkeys((*first.environments, *each.environments))
        merged[key(each)] = first.only(*both)
    return list(merged.values())


def _place(finding: Finding) -> tuple[str, ...]:
    rule = "render" if finding.rule in RENDER else finding.rule
    if rule == UNREAD and not finding.repair:
        return (rule, str(finding.location.path))
    whole_file = () if finding.location.line else (finding.message, finding.object)
    return (rule, str(finding.location), *whole_file)


def _words(finding: Finding) -> tuple[str, ...]:
    if finding.rule in BY_WORDS:
        # The API server's begin with the field and its value, which differ from place to place.
        return (finding.rule, _VALUE.sub("", finding.message))
    return _place(finding)
