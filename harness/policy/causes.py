"""One finding for one cause: what only follows from another finding is left out.

A file that cannot be read is said to be so once, not again for every tool that cannot read it. What
is left out comes back with the next check if it has a cause of its own.
"""

from collections.abc import Collection, Iterable, Sequence

from harness.policy.finding import Finding

UNREADABLE = {"yaml/unreadable", "yaml/tab", "yaml/duplicate-key"}
RENDER = {"render/kustomize", "render/helm"}
FOLLOW = {("promotion/evidence", "release/pointer"), ("promotion/unverified", "release/pointer")}
"""Of two rules about one line the first one's finding follows from the second one's."""

COMPARISONS = {"environments/proven-settings"}
"""Rules that only say that two environments differ; another one may say what is wrong with it."""


def causes(findings: Sequence[Finding], first: Collection[str]) -> list[Finding]:
    """The findings that are no consequence of others.

    Args:
        findings: everything that no exception covers.
        first: the rules after whose finding the others of an environment mean little: two
            Kustomizations that apply one folder, say.
    """
    unreadable = {each.location.path for each in findings if each.rule in UNREADABLE}
    invalid = {each.object for each in findings if each.rule == "schema/invalid"}
    broken = {name for each in findings if each.rule in first for name in each.environments}

    others = [each for each in findings if each.rule not in COMPARISONS]
    lines = {(each.rule, str(each.location)) for each in findings}
    explained = {name for each in others for name in (each.object, str(each.location))}

    def is_consequence(finding: Finding) -> bool:
        if finding.rule in COMPARISONS and {finding.object, str(finding.location)} & explained:
            return True
        if any(
            (cause, str(finding.location)) in lines
            for rule, cause in FOLLOW
            if rule == finding.rule
        ):
            return True
        if finding.rule in UNREADABLE or finding.rule in first:
            return False
        if finding.location.path in unreadable:
            return True
        if finding.rule in RENDER and finding.object in invalid:
            return True
        # A finding of no environment may compare those that are broken.
        return bool(broken) and set(finding.environments) <= broken

    return list(_merge(each for each in findings if not is_consequence(each)))


def _merge(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Of what one rule says of one line in the same words, one: about the first object."""
    merged: dict[tuple[str, ...], Finding] = {}
    for each in findings:
        subject = "" if each.location.line else each.object
        rule = "render" if each.rule in RENDER else each.rule
        key = (rule, str(each.location), each.message, subject)
        first = merged.setdefault(key, each)
        merged[key] = first.only(*dict.fromkeys((*first.environments, *each.environments)))
    return merged.values()
