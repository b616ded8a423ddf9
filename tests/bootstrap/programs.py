"""What stands for programs that need an AWS account: each records how it was called.

    python -m tests.bootstrap.programs eksctl create cluster -f clusters/staging/eksctl.yaml

``eksctl`` makes in the imitated AWS what eksctl would make in the real one; ``helm`` remembers a
release. Both can be told to die half way: a file ``eksctl.dies`` or ``helm.dies`` in the folder
RECORDS says after how many parts.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

RECORDS = "PROGRAM_RECORDS"
SUBNETS = "PROGRAM_SUBNETS"
ROLE = "arn:aws:iam::123456789012:role/nodes"
VERSIONS = {
    "eksctl": "0.230.0",
    "aws": "aws-cli/2.31.4 Python/3.13.7 Linux/6.8 exe/x86_64",
    "kubectl": "Client Version: v1.36.3",
}


def main() -> int:
    name, *words = sys.argv[1:]
    folder = Path(os.environ[RECORDS])
    version_only = "version" in words or "--version" in words
    stdin = "" if version_only else sys.stdin.read()
    called = {"words": words, "stdin": stdin, "environment": dict(os.environ)}
    with (folder / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(called) + "\n")
    if version_only and "--create-namespace" not in words:
        version_file = folder / f"{name}.version"
        say(version_file.read_text() if version_file.exists() else VERSIONS[name])
        return 0
    return {"eksctl": eksctl, "helm": helm}[name](words, stdin, folder)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def eksctl(words: list[str], stdin: str, folder: Path) -> int:
    if words[:2] == ["utils", "write-kubeconfig"]:
        return _write_kubeconfig(words[words.index("--cluster") + 1])
    if (folder / "eksctl.fails").exists():
        sys.stdout.write(f"{'Error: failed to create cluster: VcpuLimitExceeded'}\n")
        return 1
    file = words[words.index("-f") + 1]
    import yaml

    described = yaml.safe_load(stdin if file == "-" else Path(file).read_text())
    for number, part in enumerate(_parts(words[1], described)):
        _die(folder, "eksctl", number)
        part()
    sys.stdout.write(f"{f'made {words[1]}'}\n")
    return 0


def _parts(what: str, described: dict[str, Any]) -> list[Any]:
    """What eksctl makes, each a call."""
    import boto3

    eks = boto3.client("eks", region_name=described["metadata"]["region"])
    name = described["metadata"]["name"]
    subnets = os.environ[SUBNETS].split(",")
    network = {"subnetIds": subnets}
    cluster = [lambda: eks.create_cluster(name=name, roleArn=ROLE, resourcesVpcConfig=network)]
    entries = [
        lambda each=each: eks.create_access_entry(
            clusterName=name, principalArn=each["principalARN"]
        )
        for each in described["accessConfig"]["accessEntries"]
    ]
    addons = [
        lambda each=each: eks.create_addon(clusterName=name, addonName=each["name"])
        for each in described["addons"]
    ]
    groups = [
        lambda each=each: eks.create_nodegroup(
            clusterName=name, nodegroupName=each["name"], subnets=subnets, nodeRole=ROLE
        )
        for each in described["managedNodeGroups"]
    ]
    identities = [
        lambda each=each: eks.create_pod_identity_association(
            clusterName=name,
            namespace=each["namespace"],
            serviceAccount=each["serviceAccountName"],
            roleArn=ROLE,
        )
        for each in described["iam"]["podIdentityAssociations"]
    ]
    return {
        "cluster": [*cluster, *addons, *groups, *identities, *entries],
        "accessentry": entries,
        "addon": addons,
        "nodegroup": groups,
        "podidentityassociation": identities,
    }[what]


def helm(words: list[str], stdin: str, folder: Path) -> int:
    file = folder / "helm.release"
    if words[0] == "list":
        sys.stdout.write(f"{file.read_text() if file.exists() else '[]'}\n")
    elif words[0] == "uninstall":
        file.unlink(missing_ok=True)
    else:
        chart = f"{words[2]}-{words[words.index('--version') + 1]}"
        release = {"name": words[2], "chart": chart, "status": "pending-install"}
        if file.exists():
            sys.stdout.write(
                f"{'Error: another operation (install/upgrade/rollback) is in progress'}\n"
            )
            return 1
        file.write_text(json.dumps([release]))
        _die(folder, "helm", 0)
        file.write_text(json.dumps([release | {"status": "deployed"}]))
    return 0


def _die(folder: Path, name: str, number: int) -> None:
    """End as by ``kill -9``, once, where the test says so."""
    dies = folder / f"{name}.dies"
    if dies.exists() and int(dies.read_text()) == number:
        dies.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _write_kubeconfig(name: str) -> int:
    import boto3
    import yaml

    server = boto3.client("eks", region_name="us-west-2").describe_cluster(name=name)["cluster"]
    user = yaml.safe_load(Path(os.environ["PROGRAM_KUBECONFIG"]).read_text())
    for cluster in user["clusters"]:
        cluster["cluster"]["server"] = server["endpoint"]
    Path(os.environ["KUBECONFIG"]).write_text(yaml.safe_dump(user))
    return 0


if __name__ == "__main__":
    sys.exit(main())
