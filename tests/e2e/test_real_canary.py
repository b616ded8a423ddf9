"""A canary of real pods behind the real Envoy, with enforced policies and live traffic.

Real: pods, weights, policies, Flux, Flagger (by its chart), Prometheus, gate and shadow (by their
Containerfile). Played: as in tests/e2e/test_real_pods.py; Flux does not apply infra/canary.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness import programs, tools
from harness.core.repository import Repository
from harness.local_cluster import local
from harness.local_cluster.real import start
from harness.local_cluster.real.ground import missing
from tests.e2e.timeline import Timeline
from tests.real import canary_component
from tests.real.canary import PRIMARY, SECOND, SYNC, Canaries
from tests.real.pods import NAME, Pods
from tests.real.watch import Watch

# The first one also builds images and starts the cluster.
pytestmark = [pytest.mark.load, pytest.mark.timeout(3600)]

RATE = 20.0  # requests a second
QUIET = 10.0  # seconds before something is done
GENTLE = 5  # percent a step: a hundred seconds in which another commit arrives in the middle
_LOOKS = 25.0  # seconds in which Flagger looks twice
_PROGRAMS = (*programs.CLUSTER, "flagger", "helm", "kustomize", "prometheus")
BACK = {f"{NAME}-models-primary": 100, f"{NAME}-models-canary": 0}


@pytest.fixture(scope="module")
def canaries(checkout: Repository) -> Iterator[Canaries]:
    if why := missing(checkout):
        pytest.skip(why)
    if absent := [each for each in _PROGRAMS if not tools.at_hand(checkout, each)]:
        pytest.skip(f"not built: `harness tools {' '.join(absent)}`")
    ground, built = start.prepare(checkout)
    digest = canary_component.add_images(checkout, built)
    with local.running(checkout, "real-canary", "local", ground=ground) as cluster:
        entrance = start.serve(checkout, cluster, built.digest)
        pods = Pods(checkout, cluster, built, entrance)
        canary_component.install(pods, digest)
        ready = Canaries(pods)
        ready.switch_on()
        yield ready


@contextmanager
def _clients(canaries: Canaries, timeline: Timeline, *, shadow: bool = True) -> Iterator[Watch]:
    """Load while the block runs; the report says how many requests there were, and for whom."""
    canaries.mirror(shadow=shadow)
    with canaries.pods.load(RATE, QUIET) as watch:
        watch.quiet(QUIET)
        yield watch
        timeline.figures["asked of the canary"] = canaries.requests_to_canary(watch.began)
    timeline.load.update(watch.counts())
    if why := watch.why():
        timeline.figures["why"] = why


def _losses(watch: Watch) -> dict[str, int]:
    counts = watch.counts()
    return {name: count for name, count in counts.items() if name != "requests" and count}


def test_good_change_is_promoted_and_no_request_is_lost(
    canaries: Canaries, timeline: Timeline
) -> None:
    with _clients(canaries, timeline) as watch, timeline.step("good → promoted"):
        canaries.start("good-2")
        assert canaries.state() == "reconciling"
        assert canaries.decide() == "Succeeded", canaries.reasons()
    assert canaries.state() == "ready"
    assert canaries.variant(PRIMARY) == "good-2"
    assert int(str(timeline.figures["asked of the canary"])) > 0
    assert _losses(watch) == {}, watch.why()


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("wrong", "right-answers-first"),
        ("wrong-but-for-samples", "same-answers-first"),
        ("failing-but-for-samples", "same-answers-first"),
        ("crashing", "not ready: waiting for rollout to finish: 0 of 1"),
    ],
)
def test_bad_change_goes_back_before_the_first_client(
    canaries: Canaries, timeline: Timeline, variant: str, reason: str
) -> None:
    with _clients(canaries, timeline) as watch, timeline.step(f"{variant} → rolled back"):
        served = canaries.variant(PRIMARY)
        canaries.start(variant)
        assert canaries.decide() == "Failed", canaries.reasons()
    assert reason in canaries.reasons()
    assert canaries.state() == "not ready"
    assert (canaries.variant(PRIMARY), canaries.weights()) == (served, BACK)
    assert _losses(watch) == {}, watch.why()


@pytest.mark.parametrize(("variant", "kind"), [("failing-but-for-samples", "failed")])
def test_without_a_shadow_no_more_than_the_canarys_share_fails(
    canaries: Canaries, timeline: Timeline, variant: str, kind: str
) -> None:
    with (
        _clients(canaries, timeline, shadow=False) as watch,
        timeline.step(f"{variant} → rolled back"),
    ):
        canaries.start(variant, shadow=False)
        assert canaries.decide() == "Failed", canaries.reasons()
    lost = _losses(watch)
    assert lost.keys() <= {kind}, watch.why()
    assert lost.get(kind, 0) <= int(str(timeline.figures["asked of the canary"]))
    assert canaries.weights() == BACK


def test_slow_change_goes_back_and_no_answer_is_lost(
    canaries: Canaries, timeline: Timeline
) -> None:
    with _clients(canaries, timeline) as watch, timeline.step("slow → rolled back"):
        served = canaries.variant(PRIMARY)
        canaries.start("slow", step=GENTLE)
        assert canaries.decide() == "Failed", canaries.reasons()
    assert "latency" in canaries.reasons()
    assert (canaries.variant(PRIMARY), canaries.weights()) == (served, BACK)
    assert _losses(watch) == {}, watch.why()


def test_second_change_in_the_middle_is_the_one_that_serves_in_the_end(
    canaries: Canaries, timeline: Timeline
) -> None:
    with _clients(canaries, timeline) as watch, timeline.step("good, interrupted → promoted"):
        canaries.start("good-3", step=GENTLE)
        canaries.wait_for_clients()
        canaries.commit("good-4")
        canaries.wait_for_pods("good-4")
        assert canaries.phase() == "Progressing", "the first one was through before it came"
        assert canaries.decide() == "Succeeded", canaries.reasons()
        assert "Restarting analysis" in canaries.reasons()
    assert canaries.variant(PRIMARY) == "good-4"
    assert _losses(watch) == {}, watch.why()


def test_revert_in_the_middle_leaves_what_serves(canaries: Canaries, timeline: Timeline) -> None:
    with _clients(canaries, timeline) as watch, timeline.step("good, reverted → as before"):
        served, before = canaries.variant(PRIMARY), canaries.analyses()
        canaries.start("good-5", step=GENTLE)
        canaries.wait_for_clients()
        canaries.commit(served)
        canaries.wait_for_pods(served)
        assert canaries.phase() == "Progressing", "the change was through before it was reverted"
        # To Flagger these pods are promoted already, and so no change: it goes on with them as if
        # they were good-5, and begins with them afterwards, when it compares them with good-5.
        assert canaries.decide(_LOOKS) == "Succeeded", canaries.reasons()
        assert canaries.analyses() - before == 2
    assert (canaries.variant(PRIMARY), canaries.weights()) == (served, BACK)
    assert _losses(watch) == {}, watch.why()


def test_flaggers_death_costs_nothing(canaries: Canaries, timeline: Timeline) -> None:
    with _clients(canaries, timeline) as watch, timeline.step("good, Flagger killed → promoted"):
        canaries.start("good-6")
        canaries.wait_for_clients()
        began = time.monotonic()
        canaries.kill_flagger()
        assert canaries.decide() == "Succeeded", canaries.reasons()
        timeline.figures["killed → promoted, s"] = round(time.monotonic() - began)
    assert canaries.variant(PRIMARY) == "good-6"
    assert _losses(watch) == {}, watch.why()


def test_another_group_and_a_sync_job_get_no_request(
    canaries: Canaries, timeline: Timeline
) -> None:
    canaries.add_group()
    canaries.start_sync_job()
    with _clients(canaries, timeline) as watch, timeline.step("good, next to others → promoted"):
        canaries.start("good-7")
        assert canaries.decide() == "Succeeded", canaries.reasons()
        elsewhere = f'{{group="{SECOND}"}}'
        requests = f"launcher_answers_total{elsewhere} or launcher_failures_total{elsewhere}"
        assert canaries.query(f"count(launcher_ready{elsewhere})") == 1
        assert canaries.query(f"sum({requests})") == 0
    log = canaries.pods.kubectl("logs", f"--namespace={NAME}", f"job/{SYNC}")
    assert "POST" not in log, log
    assert _losses(watch) == {}, watch.why()


def test_a_group_gives_its_canary_up_and_gets_one_again_and_no_request_is_lost(
    canaries: Canaries, timeline: Timeline
) -> None:
    with _clients(canaries, timeline, shadow=False) as watch:
        served = canaries.variant(PRIMARY)
        with timeline.step("a canary → none"):
            canaries.switch_off()
        assert canaries.weights() == {NAME: 1}
        watch.quiet(QUIET)
        with timeline.step("none → a canary"):
            canaries.switch_on(served)
        watch.quiet(QUIET)
    assert (canaries.variant(PRIMARY), canaries.weights()) == (served, BACK)
    assert _losses(watch) == {}, watch.why()
