"""The comment on a pull request: what a check found, and what a merge changes in each cluster.

    pairs = comment.pairs(Renderer(repository), "HEAD^")
    text = comment.page(report, list(pairs), "HEAD^")

The dangerous comes first, so that it is there even where the rest does not fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.policy import report
from harness.policy.report import Report
from harness.render import diff, rollout
from harness.render.diff import Change
from harness.render.rendered import Environment
from harness.render.renderer import Renderer
from harness.review.markdown import Page, plain, word

LIMIT = 65_000  # characters; GitHub takes 65,536, of which the action that posts it needs some


@dataclass(frozen=True)
class Pair:
    """An environment before and after.

    Attributes:
        when: when it becomes so, in words; empty where a merge is enough.
    """

    old: Environment
    new: Environment
    when: str = ""

    @cached_property
    def changes(self) -> list[Change]:
        """Every object that differs."""
        return diff.compare(self.old, self.new)

    @property
    def title(self) -> str:
        """Which environment, and when."""
        return f"{self.new.name}, {self.when}" if self.when else self.new.name

    @property
    def heading(self) -> str:
        """The same, in our own words."""
        return f"{word(self.new.name)}, {self.when}" if self.when else word(self.new.name)


def pairs(renderer: Renderer, since: str) -> Iterator[Pair]:
    """Every environment as ``since`` has it, and as the working tree does.

    One that pins its release changes twice: what its own folder says at a merge, and what the
    release says once the pin is moved.

    Raises:
        UsageError: the commit is not in this checkout.
    """
    before, now = set(renderer.environments(since)), set(renderer.environments())
    for env in sorted(before | now):
        nothing = Environment(env, "", ())
        old = renderer.at(env, since) if env in before else nothing
        new = renderer.candidate(env) if env in now else nothing
        live = (renderer.live(env, since), renderer.live(env) if env in now else None)
        if any(live):
            yield Pair(live[0] or nothing, live[1] or nothing, "at once")
            yield Pair(old, new, "once it is promoted")
        else:
            yield Pair(old, new)


def page(checked: Report, compared: Sequence[Pair], since: str) -> str:
    """The comment, in at most 65,000 characters."""
    text = Page(LIMIT)
    text.add(f"**{report.summary(checked)}**")
    dangers = [
        f"{pair.title}: {each.kind}: {each.object}: {each.message}"
        for pair in compared
        for each in diff.dangers(pair.changes)
    ]
    if dangers:
        text.add("### Look at these first")
        text.quote(dangers, rest="harness diff", room=text.remaining // 2)
    replaced = [
        f"{pair.title}: {line}"
        for pair in compared
        for line in rollout.lines(pair.old, pair.new, pair.changes)
    ]
    if replaced:
        text.add("### Pods that are replaced")
        text.quote(replaced, rest="harness diff", room=text.remaining // 2)
    if checked.findings:
        text.add("### Findings")
        text.quote(
            report.as_text(checked).splitlines(), rest="make check", room=text.remaining // 2
        )
    quiet = [pair.heading for pair in compared if not pair.changes]
    loud = [pair for pair in compared if pair.changes]
    for index, pair in enumerate(loud):
        text.add(f"### {pair.heading}: {diff.count(pair.changes)}")
        if not (pair.old.is_complete and pair.new.is_complete):
            text.add("Part of it does not render: the difference is incomplete.")
        lines = [line for each in pair.changes for line in diff.format_change(each)]
        rest = f"harness diff --env {plain(pair.new.name)} --from {plain(since)}"
        text.quote(lines, rest=rest, room=text.remaining // (len(loud) - index))
    if quiet:
        text.add(f"Nothing changes in: {'; '.join(quiet)}.")
    return str(text)
