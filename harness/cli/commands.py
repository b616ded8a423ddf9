"""Every command, in the order in which a newcomer meets them, and the pages that list them.

A verb's module is imported when it is called: torch and locust take seconds that
``harness --help`` and ``harness check`` must not pay.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PLUMBING = "For workflows and scripts"


@dataclass(frozen=True, slots=True)
class Verb:
    """What comes first after ``harness``.

    Attributes:
        section: the stage of the work that it belongs to.
        summary: what it prints, writes or does.
        actions: the second word and its summary, if the verb takes one.
    """

    section: str
    summary: str
    actions: Mapping[str, str] = field(default_factory=dict)


VERBS: dict[str, Verb] = {
    "import": Verb("Build", "an environment from whatever your TorchServe is started with"),
    "models": Verb(
        "Build",
        "model archives and their lock",
        {
            "new": "write a model of a file, a folder or an address",
            "build": "build the archives that changed",
            "lock": "write the built archives to models/lock.yaml",
            "list": "versions and sizes of the built archives",
            "verify": "compare the archives with the locks",
            "record": "write a running server's answers as the right ones of a model",
            "push": "upload the locked archives to an environment's bucket",
            "pull": "download the locked archives that this machine lacks",
            "gc": "list or remove the archives that no release needs",
            "audit": "what an archive needs and touches, and what of it would fail here",
            "adopt": "lock the archives of a store that was filled by hand",
        },
    ),
    "requirements": Verb("Build", "Python packages of models, image and harness, as locks"),
    "sets": Verb(
        "Build",
        "image sets: packages that exclude each other, each set with an image of its own",
        {
            "list": "image sets, their models, and the groups that run them",
            "add": "write an image set, or put more models into one",
            "remove": "remove an image set that no group runs",
            "setup": "make the environment of an image set on this machine",
        },
    ),
    "snapshot": Verb(
        "Build",
        "TorchServe's configuration: config.properties and model-files.yaml",
        {
            "write": "generate both files, and the rules that watch the SLOs",
            "check": "exit 1 with a diff if a file is stale",
            "import": "turn an existing config.properties into models/ and serving.yaml",
        },
    ),
    "groups": Verb(
        "Build",
        "serving groups: which TorchServe of an environment serves which models",
        {
            "list": "groups of an environment and their models",
            "add": "write a group like an existing one, with its models",
            "remove": "remove a group",
            "move": "the next of three steps that bring a model to another group",
            "adopt-layout": "move an overlay from before groups into the group torchserve",
        },
    ),
    "generate": Verb("Build", "the chart's schema, README and version, and docs/rules.md"),
    "demo": Verb("Serve", "models → snapshot → TorchServe → load test → report, on this machine"),
    "serve": Verb("Serve", "the real TorchServe on this machine, until Ctrl-C"),
    "check": Verb("Check", "findings in every rendered environment"),
    "render": Verb("Check", "the objects of an environment as its cluster would hold them"),
    "diff": Verb("Check", "changes of an environment between two commits, dangerous ones first"),
    "audit": Verb("Check", "known vulnerabilities of an image, and what was decided about them"),
    "loadtest": Verb(
        "Test load",
        "open-loop load tests and their reports",
        {
            "run": "send a load profile to an endpoint and evaluate its SLOs",
            "import": "read curl, hey, k6, JMeter, HAR and locust scripts as a profile",
            "compare": "exit 1 if a report is worse than an earlier one",
        },
    ),
    "init": Verb("Install", "settings that only the owner of an environment knows"),
    "bootstrap": Verb(
        "Install",
        "from an empty AWS account to the first reconciliation",
        {
            "plan": "state of each step, and what it would change",
            "apply": "do the pending steps, up to the first manual one",
            "destroy": "remove the foundation after the cluster is gone",
        },
    ),
    "efs": Verb(
        "Install",
        "the EFS file system behind the model store",
        {
            "plan": "changes that apply would make",
            "apply": "create or change what differs, and write the ids to site.yaml",
            "status": "exit 1 if something differs",
            "destroy": "remove the file system and everything around it",
            "policy": "the IAM policy that these commands need",
        },
    ),
    "cluster": Verb(
        "Install",
        "Kubernetes and Flux on this machine, following the working tree",
        {
            "up": "start it, and wait for the first reconciliation",
            "down": "remove its processes, ports and files",
            "processes": "phase, PID and restarts of each process",
        },
    ),
    "release": Verb(
        "Release",
        "promotions, rollbacks and their evidence",
        {
            "promote": "point an environment to the commit that another one has proved",
            "rollback": "point an environment back to an earlier release",
            "list": "releases of an environment with their load test results, newest first",
            "copy": "copy the archives and image of a release to another environment",
            "notes": "changes that the last move of an environment's pointer brought",
            "evidence": "sign a report and store it for promotions",
            "freeze": "exit 1 if promotions are frozen",
            "observe": "save what a cluster runs, for a promotion from elsewhere",
        },
    ),
    "canary": Verb(
        "Release",
        "what decides about a canary besides its metrics",
        {
            "gate": "answer Flagger whether a canary's answers are right, until Ctrl-C",
            "shadow": "compare a canary's answers with those of the pods that serve",
            "samples": "write what gate and shadow know of models, for their image",
            "pin": "write the digest of the image that gate and shadow run",
        },
    ),
    "status": Verb("Look", "what Flux applied to a cluster, and why something is not ready"),
    "smoke": Verb("Look", "live checks of an installation, each with the next command"),
    "doctor": Verb("Look", "what this machine has and lacks for each of these commands"),
    "tools": Verb(PLUMBING, "pinned programs, schemas and charts, built or fetched"),
    "image": Verb(
        PLUMBING,
        "the serving images",
        {"pin": "write an image's digest to where the groups of its set read it"},
    ),
    "event": Verb(PLUMBING, "exit 1 if FLUX_EVENT is not an event of a reconciliation"),
    "completion": Verb(PLUMBING, "shell completion for bash, zsh or fish"),
    "help": Verb(PLUMBING, "help on a command, or on all of them"),
}

_USAGE = "usage: harness COMMAND [ACTION] [OPTIONS]"
_INTRODUCTION = "Runs TorchServe on a GPU Kubernetes cluster by GitOps, and proves each change."
_EPILOG = """\
harness COMMAND --help      options of a command
harness help --all          every command with its actions

exit codes: 0 passed · 1 check failed · 2 usage error ·
3 could not evaluate (something is missing, or the run is invalid)"""


def leaves() -> Iterator[tuple[str, str]]:
    """Yield each command that can be called, and its action (empty if the verb takes none)."""
    for name, verb in VERBS.items():
        yield from ((name, action) for action in verb.actions or [""])


def overview(*, everything: bool = False) -> str:
    """Return the first page of help; with ``everything`` also plumbing and all actions."""
    verbs = {name: verb for name, verb in VERBS.items() if everything or verb.section != PLUMBING}
    lines = [_USAGE, "", _INTRODUCTION]
    section = ""
    for name, verb in verbs.items():
        if verb.section != section:
            section = verb.section
            lines += ["", section]
        lines.append(f"  {name:<14}{verb.summary}")
        if everything:
            lines += [f"    {action:<14}{summary}" for action, summary in verb.actions.items()]
        elif verb.actions:
            lines.append(f"  {'':<14}  {' · '.join(verb.actions)}")
    return "\n".join([*lines, "", _EPILOG])


def group_page(name: str) -> str:
    """Return the help of a verb that takes an action."""
    verb = VERBS[name]
    rows = [f"  {action:<14}{summary}" for action, summary in verb.actions.items()]
    return "\n".join(
        [
            f"usage: harness {name} ACTION [OPTIONS]",
            "",
            f"{verb.summary[:1].upper()}{verb.summary[1:]}.",
            "",
            *rows,
            "",
            f"harness {name} ACTION --help   options of an action",
        ]
    )
