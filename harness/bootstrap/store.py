"""The file system of the model store: what ``harness efs apply`` does, as a step."""

from harness.bootstrap.installation import Installation
from harness.bootstrap.step import Inspection
from harness.core import console
from harness.core.errors import InputError
from harness.efs import plan, settings, state
from harness.efs.provision import Provision, site_changes, write_ids


def inspect(installation: Installation) -> Inspection:
    """Check whether EFS has what is wanted, and site.yaml its ids.

    Raises:
        InputError: something differs that cannot be changed.
    """
    desired = settings.load(installation.repository, installation.env)
    cluster = state.cluster(installation.aws, desired)
    current = state.collect(installation.aws, desired, cluster.vpc)
    if faults := plan.stuck(desired, current):
        raise InputError("\n".join(faults), hint=f"harness efs plan --env {installation.env}")
    changes = [change.text for change in plan.converge(desired, cluster, current)]
    if current.file_system:
        ids = site_changes(installation.repository, desired, current)
        changes += [f"~ site.yaml: {name} {value}" for name, value in ids.items()]
    pending = tuple(f"~ {each}" for each in current.pending)
    system = current.file_system.id if current.file_system else ""
    return Inspection((f"file system {system}",), (*changes, *pending))


def build(installation: Installation, _: console.Update) -> None:
    """Make the file system what is wanted, and write its ids into site.yaml."""
    desired = settings.load(installation.repository, installation.env)
    provision = Provision(installation.aws, desired, installation.pace)
    current = provision.up(state.cluster(installation.aws, desired))
    write_ids(installation.repository, desired, current)
