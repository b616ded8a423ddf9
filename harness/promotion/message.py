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
    told: Evidence,
    before: Evidence | None,
    old: Environment | None,
    new: Environment,
) -> str:
    """The message of a promotion's commit.

    Args:
        git: the history.
        told: the evidence.
        before: that of the release that runs now; None where it has none.
        old: what runs now, rendered; None the first time.
        new: what will run.
    """
    return "\n".join(_lines(git, told, before, old, new)) + "\n"


def pull_request(message: str) -> str:
    """A commit's message as the text of its pull request; quoted: others wrote parts of it."""
    text = Page(_PAGE)
    text.add("The evidence is the file beside the pointer. What the gates found, and what changes:")
    text.quote(message.splitlines(), rest="git show")
    return str(text)


def _lines(
    git: Git, told: Evidence, before: Evidence | None, old: Environment | None, new: Environment
) -> Iterator[str]:
    yield f"Promote {told.commit[:12]} to {told.environment}"
    yield ""
    yield f"release   {told.digest}"
    yield f"commit    {told.commit}"
    yield f"replaces  {told.replaces or 'nothing: it is the first'}"
    yield f"proven    in {told.source.environment}, Ready since {told.source.ready_since}"
    yield f"decided   {told.decided}"
    if told.override:
        yield f"freeze    overridden: {told.override}"
    yield from (f"accepted  {each}" for each in told.accepted)
    for report in told.reports:
        yield f"{report.kind:9} {report.name}, signed by {report.signed_by or 'nobody'}"
    yield from ("", *table(told, before))
    yield from ("", "Gates:")
    yield from (f"  ✓ {gate.name}: {gate.found}" for gate in told.gates)
    yield from ("", *_commits(git, told))
    yield from ("", *_difference(old, new))


def table(told: Evidence, before: Evidence | None) -> Iterator[str]:
    """The load test's figures beside the last release's; milliseconds, requests a second."""
    last = {each.name: each for each in _figures(before)} if before else {}
    yield f"{'Load test':16}{'p50':>9}{'p95':>9}{'p99':>9}{'rate':>9}   p95 of the release before"
    for each in _figures(told):
        was = last.get(each.name)
        cells = "".join(
            f"{_number(value):>9}" for value in (each.p50, each.p95, each.p99, each.rate)
        )
        yield f"{each.name:16}{cells}   {_number(was.p95) if was else '-'}"


def _figures(told: Evidence) -> Iterator[Figures]:
    for report in told.reports:
        yield from report.figures


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _commits(git: Git, told: Evidence) -> Iterator[str]:
    if told.replaces is None:
        return
    listed = git.run(
        "log", "--no-merges", "--format=  %h %s", f"{told.replaces}..{told.commit}"
    ).splitlines()
    yield f"Commits ({len(listed)}):"
    yield from listed[:_COMMITS]
    if len(listed) > _COMMITS:
        yield f"  … and {len(listed) - _COMMITS} more"


def _difference(old: Environment | None, new: Environment) -> Iterator[str]:
    if old is None:
        yield f"Rendered: {len(new.objects)} objects, all of them new"
        return
    text = diff.as_markdown(old, new)
    if len(text) > _DIFF:
        lines = text[:_DIFF].splitlines()[:-1]
        text = "\n".join([*lines, "… the rest: harness diff"])
    yield from text.splitlines()
