"""The file system of the model store: what ``harness efs apply`` does, as a step."""

from harness.bootstrap.installation import Installation
from harness.bootstrap.step import Look
from harness.core import console
from harness.core.errors import InputError
from harness.efs import plan, settings, state
from harness.efs.provision import Provision, site_changes, write_ids


def look(installation: Installation) -> Look:
    """Whether EFS has what is wanted, and site.yaml its ids.

    Raises:
        InputError: something differs that cannot be changed.
    """
    wanted = settings.load(installation.repository, installation.env)
    cluster = state.cluster(installation.aws, wanted)
    found = state.look(installation.aws, wanted, cluster.vpc)
    if faults := plan.stuck(wanted, found):
        raise InputError("\n".join(faults), hint=f"harness efs plan --env {installation.env}")
    changes = [change.text for change in plan.converge(wanted, cluster, found)]
    if found.file_system:
        ids = site_changes(installation.repository, wanted, found)
        changes += [f"~ site.yaml: {name} {value}" for name, value in ids.items()]
    pending = tuple(f"~ {each}" for each in found.pending)
    system = found.file_system.id if found.file_system else ""
    return Look((f"file system {system}",), (*changes, *pending))


def build(installation: Installation, _: console.Update) -> None:
    """Make the file system what is wanted, and write its ids into site.yaml."""
    wanted = settings.load(installation.repository, installation.env)
    provision = Provision(installation.aws, wanted, installation.pace)
    found = provision.up(state.cluster(installation.aws, wanted))
    write_ids(installation.repository, wanted, found)
