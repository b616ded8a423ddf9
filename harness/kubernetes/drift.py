"""The differences between a cluster and the commit of main that it should run."""

from collections.abc import Iterator

from harness.core.repository import Repository
from harness.kubernetes.status import ClusterStatus
from harness.render import tree
from harness.render.renderer import pinned_commit

_SHOWN = 12  # digits of a commit


def differences(
    screen: ClusterStatus, repository: Repository, env: str, commit: str
) -> Iterator[str]:
    """Yield, in words, where a cluster does not run what ``commit`` defines for its environment.

    Differences inside an object are not compared: Flux corrects them, and is not Ready meanwhile.

    Args:
        screen: the status of the cluster.
        repository: the checkout that has the commit.
        env: the environment that the cluster should be.
        commit: of main, by any name that git knows.

    Raises:
        UsageError: the commit is not in this checkout.
    """
    target = tree.at_commit(repository, commit)
    release = pinned_commit(target, env) or target.commit
    if screen.main != target.commit:
        yield f"follows {_short(screen.main)}, and main is at {_short(target.commit)}"
    if screen.release != release:
        yield f"runs {_short(screen.release)}, and main pins {_short(release)}"
    for row in screen.rows:
        # Git suspends nothing (rule flux/suspended), so it was done by hand.
        if row.state == "suspended":
            yield f"{row.kind}/{row.name} is suspended"


def _short(commit: str) -> str:
    return commit[:_SHOWN] or "nothing"
