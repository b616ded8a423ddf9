"""The message of the commit that moves a pointer: for the pull request, and for the log."""

from collections.abc import Iterator

from harness.attestation.record import Evidence, Figures
from harness.core.git import Git
from harness.render import diff
from harness.render.rendered import Environment
from harness.review.markdown import Page

_COMMITS = 40  # that are listed by name
_DIFF = 16_000  # characters
_PAGE = 60_000  # characters; a pull request's text may have 65,536


def promotion(
    git: Git,
    evidence: Evidence,
    before: Evidence | None,
    old: Environment | None,
    new: Environment,
) -> str:
    """The message of a promotion's commit.

    Args:
        git: the history.
        evidence: of this promotion.
        before: that of the release that runs now, or None if it has none.
        old: what runs now, or None the first time.
        new: what will run.
    """
    return "\n".join(_lines(git, evidence, before, old, new)) + "\n"


def pull_request(message: str) -> str:
    """A commit's message as its pull request's text; quoted, since others wrote parts of it."""
    text = Page(_PAGE)
    text.add(
        "The evidence is the file next to the pointer. What the gates found, and what changes:"
    )
    text.quote(message.splitlines(), rest="git show")
    return str(text)


def _lines(
    git: Git, evidence: Evidence, before: Evidence | None, old: Environment | None, new: Environment
) -> Iterator[str]:
    yield f"Promote {evidence.commit[:12]} to {evidence.environment}"
    yield ""
    yield f"release   {evidence.digest}"
    yield f"commit    {evidence.commit}"
    yield f"replaces  {evidence.replaces or 'nothing: it is the first'}"
    yield f"proven    in {evidence.source.environment}, Ready since {evidence.source.ready_since}"
    yield f"decided   {evidence.decided}"
    if evidence.override:
        yield f"freeze    overridden: {evidence.override}"
    yield from (f"accepted  {each}" for each in evidence.accepted)
    for report in evidence.reports:
        yield f"{report.kind:9} {report.name}, signed by {report.signed_by or 'nobody'}"
    yield from ("", *table(evidence, before))
    yield from ("", "Gates:")
    yield from (f"  ✓ {gate.name}: {gate.found}" for gate in evidence.gates)
    yield from ("", *_commits(git, evidence))
    yield from ("", *_difference(old, new))


def table(evidence: Evidence, before: Evidence | None) -> Iterator[str]:
    """The load test's figures next to the last release's; milliseconds, requests/s."""
    last = {each.name: each for each in _figures(before)} if before else {}
    named = {_name(each, evidence): each for each in _figures(evidence)}
    width = max(16, *(len(name) + 2 for name in named))
    head = f"{'p50':>9}{'p95':>9}{'p99':>9}{'rate':>9}   p95 of the release before"
    yield f"{'Load test':{width}}{head}"
    for name, each in named.items():
        previous = last.get(each.name)
        cells = "".join(
            f"{_number(value):>9}" for value in (each.p50, each.p95, each.p99, each.rate)
        )
        yield f"{name:{width}}{cells}   {_number(previous.p95) if previous else '-'}"


def _name(figures: Figures, evidence: Evidence) -> str:
    """A name of the mix; where there are several serving groups, with its own."""
    several = len({each.group for each in _figures(evidence)} - {None}) > 1
    return f"{figures.name} ({figures.group})" if several and figures.group else figures.name


def _figures(evidence: Evidence) -> Iterator[Figures]:
    for report in evidence.reports:
        yield from report.figures


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _commits(git: Git, evidence: Evidence) -> Iterator[str]:
    if evidence.replaces is None:
        return
    commits = git.run(
        "log", "--no-merges", "--format=  %h %s", f"{evidence.replaces}..{evidence.commit}"
    ).splitlines()
    yield f"Commits ({len(commits)}):"
    yield from commits[:_COMMITS]
    if len(commits) > _COMMITS:
        yield f"  … and {len(commits) - _COMMITS} more"


def _difference(old: Environment | None, new: Environment) -> Iterator[str]:
    if old is None:
        yield f"Rendered: {len(new.objects)} objects, all of them new"
        return
    text = diff.as_markdown(old, new)
    if len(text) > _DIFF:
        lines = text[:_DIFF].splitlines()[:-1]
        text = "\n".join([*lines, "… the rest: harness diff"])
    yield from text.splitlines()
