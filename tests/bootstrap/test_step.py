"""Steps run in order, stop for a person once, and are finished by the next run."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from harness.bootstrap.installation import Installation
from harness.bootstrap.step import Inspection, Row, Step, apply, format_rows, plan
from harness.bootstrap.steps import STEPS
from harness.core import console
from harness.core.errors import HarnessError

AGAIN = "harness bootstrap apply --env staging"


@dataclass
class Thing:
    """Something that a step makes: ``works`` says whether making it helps."""

    name: str
    exists: bool = False
    works: bool = True
    manual: str = ""
    looks: list[str] = field(default_factory=list)
    after: tuple[str, ...] = ()

    def step(self) -> Step:
        return Step(self.name, f"what {self.name} is for", self._look, self._do, self.after)

    def _look(self, _: Installation) -> Inspection:
        self.looks.append("look")
        if self.exists:
            return Inspection((f"{self.name} is there",))
        if self.manual:
            return Inspection((f"{self.name} is missing",), manual=self.manual)
        return Inspection(changes=(f"+ {self.name}",))

    def _do(self, _: Installation, update: console.Update) -> None:
        self.looks.append("do")
        update("making it")
        self.exists = self.works


@pytest.fixture
def installation(install: Callable[..., Installation]) -> Installation:
    return install()


def run(things: list[Thing], installation: Installation) -> list[Row]:
    return list(apply([each.step() for each in things], installation))


def test_what_is_so_is_skipped_and_the_rest_is_done_in_order(installation: Installation) -> None:
    things = [Thing("a", exists=True), Thing("b"), Thing("c")]
    rows = run(things, installation)
    assert {row.status for row in rows} == {"done"}
    assert [row.name for row in rows if row.applied] == ["b", "c"]
    assert rows[1].lines == ("+ b",)
    assert [each.looks for each in things] == [
        ["look"],
        ["look", "do", "look"],
        ["look", "do", "look"],
    ]


def test_a_second_run_does_nothing(installation: Installation) -> None:
    things = [Thing("a"), Thing("b")]
    run(things, installation)
    for each in things:
        each.looks.clear()
    assert not any(row.applied for row in run(things, installation))
    assert [each.looks for each in things] == [["look"], ["look"]]


def test_a_stop_says_all_that_a_person_has_to_do_and_what_to_type_then(
    installation: Installation,
) -> None:
    things = [
        Thing("a"),
        Thing("b", manual="type b"),
        Thing("c", manual="type c\ntype d"),
        Thing("d"),
        Thing("e", manual="type e", after=("d",)),
    ]
    with pytest.raises(HarnessError) as stopped:
        run(things, installation)
    assert stopped.value.message == "b: b is missing\nc: c is missing"
    assert stopped.value.hint.split("\n  → ") == [
        "type b", "type c", "type d", f"then run again: {AGAIN}",
    ]  # fmt: skip
    assert things[0].exists
    assert "do" not in things[3].looks, "nothing is done after a stop"
    assert things[4].looks == [], "what cannot be looked at yet is not"


def test_what_was_done_and_is_not_so_is_an_error(installation: Installation) -> None:
    with pytest.raises(HarnessError, match=r"a was applied, but is not done: \+ a") as failed:
        run([Thing("a", works=False), Thing("b")], installation)
    assert failed.value.hint == AGAIN


def test_a_plan_does_nothing_and_says_what_comes_later(installation: Installation) -> None:
    things = [
        Thing("a", exists=True),
        Thing("b", after=("a",)),
        Thing("c", after=("b",)),
        Thing("d", manual="type d", after=("a",)),
    ]
    rows = plan([each.step() for each in things], installation)
    assert [row.status for row in rows] == ["done", "pending", "blocked", "manual"]
    states = [row.as_json()["state"] for row in rows]
    assert states == ["is so", "to do", "later", "yours"], "the words of before 2027-03-01"
    assert format_rows(rows).splitlines() == [
        "✓ a           a is there",
        "+ b           + b",
        "· c           after b: what c is for",
        "! d           d is missing",
        "            → type d",
    ]
    assert not any("do" in each.looks for each in things)


def test_every_step_comes_after_what_it_needs() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    for index, step in enumerate(STEPS):
        assert set(step.after) <= set(names[:index]), step.name
        assert step.what
