"""Makes the calls of a plan, reads the state again, and repeats until nothing differs.

Whatever a call answers, only what AWS shows afterwards counts. So it does not matter whether an
earlier run, another run at this moment or this very call made a thing, nor how much later the
describe calls know of it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.aws import Aws, AwsError
from harness.core import console
from harness.core.errors import HarnessError, InputError
from harness.core.pace import Pace
from harness.core.repository import Repository
from harness.efs import plan, state
from harness.efs.plan import Change
from harness.efs.settings import Desired
from harness.efs.state import ClusterNetwork, State
from harness.settings import site

# It already exists: another run, or this one before it was killed, has created it.
_THERE = (
    "AccessPointAlreadyExists",
    "FileSystemAlreadyExists",
    "InvalidGroup.Duplicate",
    "InvalidPermission.Duplicate",
    "MountTargetConflict",
)
# It is gone already, or not known everywhere yet, or something else has to end first.
_SOON = (
    "AccessPointNotFound",
    "DependencyViolation",
    "FileSystemInUse",
    "FileSystemNotFound",
    "IncorrectFileSystemLifeCycleState",
    "IncorrectMountTargetState",
    "InvalidGroup.NotFound",
    "InvalidSecurityGroupRuleId.NotFound",
    "MountTargetNotFound",
    "SecurityGroupNotFound",
)


@dataclass
class Provision:
    """One environment's file system and its network. ``applied`` collects what was changed."""

    aws: Aws
    desired: Desired
    pace: Pace = field(default_factory=Pace)
    applied: list[str] = field(default_factory=list)

    def up(self, cluster: ClusterNetwork) -> State:
        """Make what is missing, change what differs, wait until all of it is available.

        Raises:
            InputError: something differs that cannot be changed.
            AwsError: AWS refused a call.
            HarnessError: nothing moved for ``pace.patience`` seconds.
        """

        def read_state() -> State:
            current = state.collect(self.aws, self.desired, cluster.vpc)
            if faults := plan.stuck(self.desired, current):
                raise InputError(
                    "\n".join(faults),
                    hint=f"inspect it, then: harness efs destroy --env {self.desired.env}",
                )
            return current

        return self._until_settled(
            read_state, lambda now: plan.converge(self.desired, cluster, now)
        )

    def down(self) -> None:
        """Remove everything that was made, and wait until it is gone.

        Raises:
            AwsError, HarnessError: as ``up`` does.
        """
        self._until_settled(lambda: state.collect(self.aws, self.desired), plan.demolish)

    def _until_settled(
        self, read_state: Callable[[], State], differences: Callable[[State], list[Change]]
    ) -> State:
        title = f"EFS of {self.desired.env}"
        with console.step(title) as update:
            waiting_since = self.pace.now()
            while True:
                now = read_state()
                changes = differences(now)
                if not changes and not now.pending:
                    return now
                before = len(self.applied)
                obstacles = [word for each in changes for word in self._make(each, update)]
                if len(self.applied) > before:
                    waiting_since = self.pace.now()
                    continue
                reasons = [*now.pending, *obstacles] or [change.text for change in changes]
                if self.pace.now() - waiting_since > self.pace.patience:
                    raise HarnessError(
                        f"nothing moved for {self.pace.patience:g} s: {'; '.join(reasons)}",
                        hint="see the AWS console for the reason, then run the command again",
                    )
                update(f"waiting: {', '.join(reasons)}")
                self.pace.sleep(self.pace.look)

    def _make(self, change: Change, update: console.Update) -> list[str]:
        """Make a change's call; what kept it from being made, if something did."""
        # What was made once and differs still is not known everywhere yet.
        if not change.call or change.text in self.applied:
            return []
        update(change.text)
        try:
            self.aws.call(change.call.service, change.call.operation, **change.call.parameters)
        except AwsError as error:
            if error.code in (*_THERE, *_SOON):
                return [error.message]
            raise
        self.applied.append(change.text)
        return []


def write_ids(repository: Repository, desired: Desired, current: State) -> list[str]:
    """Write the ids of what ``found`` has into site.yaml; UNSET for what is not there.

    Returns:
        The lines that changed, as ``NAME value``.
    """
    ids = site_changes(repository, desired, current)
    site.fill(repository, desired.env, ids)
    return [f"{name} {value}" for name, value in ids.items()]


def site_changes(repository: Repository, desired: Desired, current: State) -> dict[str, str]:
    """Which of site.yaml's ids are not those of ``found``, and what they have to be."""
    ids = plan.ids(desired, current)
    names = (plan.FILE_SYSTEM, *(role.setting for role in plan.ROLES))
    actual = {each.name: each.value for each in site.read(repository, desired.env)}
    expected = {name: ids.get(name, site.UNSET) for name in names}
    return {name: value for name, value in expected.items() if actual.get(name) != value}
