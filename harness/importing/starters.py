"""What starts TorchServe besides the shell, as a script of the shell, line for line.

    as_shell("ts.service", "[Service]\nExecStart=torchserve --start")  →  "\ntorchserve --start"

systemd, supervisor, make and Windows' cmd.exe; each line stays where it is, so that places hold.
"""

import re

_UNIT = re.compile(r"(ExecStart|Environment|EnvironmentFile|WorkingDirectory)\s*=\s*[-@+!:]*(.*)")
_PROGRAM = re.compile(r"(command|environment|directory)\s*=\s*(.*)")
_ASSIGNED = re.compile(r"(export\s+)?(\w+)\s*[:?]?=\s*(.*)")


def as_shell(name: str, text: str) -> str | None:
    """The script; None for a file of another kind."""
    if name.endswith(".service") or re.search(r"(?m)^ExecStart\s*=", text):
        return "\n".join(map(_of_unit, text.splitlines()))
    if re.search(r"(?m)^\[program:", text):
        return "\n".join(map(_of_program, text.splitlines()))
    if name.startswith("makefile") or name.endswith(".mk"):
        return "\n".join(map(_of_recipe, re.sub(r"\$\((\w+)\)", r"${\1}", text).splitlines()))
    if name.endswith((".bat", ".cmd", ".ps1")):
        plain = re.sub(r"%(\w+)%", r"${\1}", text.replace("\\", "/"))
        return "\n".join(map(_of_batch, re.sub(r"[\^`](\r?\n)", r"\\\1", plain).splitlines()))
    return None


def _of_unit(line: str) -> str:
    match = _UNIT.match(line.strip())
    if not match:
        return line if line.startswith((" ", "\t")) else ""  # a line that goes on
    if match[1] == "Environment":
        return f"export {match[2]}"
    if match[1] == "EnvironmentFile":
        return f"source {match[2]}"
    return match[2] if match[1] == "ExecStart" else ""


def _of_program(line: str) -> str:
    match = _PROGRAM.match(line.strip())
    if not match or match[1] == "directory":
        return ""
    return match[2] if match[1] == "command" else f"export {match[2].replace(',', ' ')}"


def _of_recipe(line: str) -> str:
    if line.startswith("\t"):
        return line.strip().lstrip("@-+")
    match = _ASSIGNED.match(line)
    return f"{match[1] or ''}{match[2]}='{match[3]}'" if match else ""


def _of_batch(line: str) -> str:
    words = line.strip().lstrip("@")
    if re.match(r"(?i)(rem\b|::|echo\b|setlocal|cd\b)", words):
        return ""
    return re.sub(r"(?i)^set\s+\"?(\w+=[^\"]*)\"?", r"export '\1'", words)
