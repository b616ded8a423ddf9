"""``harness completion``: a script that completes commands, options, choices and environments.

The script is written from the parsers once, so that a Tab starts no Python. Environments are the
folders of clusters/ in the working folder at that moment; anything else is completed as a file.
"""

import argparse
import json
from collections.abc import Iterable, Iterator

from harness.cli import commands, parser

_BASH = """\
_harness() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=
  local command=${COMP_WORDS[1]} action=
  case " @GROUPS@ " in *" $command "*) action=${COMP_WORDS[2]} ;; esac
  if ((COMP_CWORD == 1)); then
    words="@VERBS@"
  elif [[ $previous == --env ]] ||
      [[ "$action $previous" =~ ^(promote|copy|observe)' '--(from|to)$ ]]; then
    words=$(cd clusters 2> /dev/null && ls -d -- */ | tr -d /)
  elif ((COMP_CWORD == 2)) && [[ " @GROUPS@ " == *" $command "* ]]; then
    case $command in
@ACTIONS@
    esac
  else
    case "$command $action $previous" in
@CHOICES@
      *) if [[ $word == -* ]]; then case "$command $action" in
@OPTIONS@
      esac; fi ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _harness harness
"""
_ZSH = "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"
_FISH = """\
function __harness_at
    set -l words (commandline -opc)
    test "$words[2..]" = "$argv" ; or string match -q -- "$argv *" "$words[2..]"
end
complete -c harness -n 'test (count (commandline -opc)) -eq 1' -f
"""
_INSTALL = {
    "bash": "harness completion bash > ~/.local/share/bash-completion/completions/harness",
    "zsh": "harness completion zsh > ~/.harness.zsh; echo 'source ~/.harness.zsh' >> ~/.zshrc",
    "fish": "harness completion fish > ~/.config/fish/completions/harness.fish",
}


def register(parser: argparse.ArgumentParser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=_INSTALL, help="shell that the script is for")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    script = f"# {_INSTALL[args.shell]}\n{_SCRIPTS[args.shell]()}"
    print(json.dumps({"shell": args.shell, "script": script}) if args.json else script, end="")
    return 0


def bash() -> str:
    """Return the script for bash."""
    groups = {name: verb for name, verb in commands.VERBS.items() if verb.actions}
    leaves = [
        (f"{name} {action}", parser.build(name, action)) for name, action in commands.leaves()
    ]
    actions = [_case(name, verb.actions, indent=6) for name, verb in groups.items()]
    options = [_case(leaf, each.option_helps(), indent=8) for leaf, each in leaves]
    choices = [
        _case(f"{leaf} {option}", values, indent=6)
        for leaf, each in leaves
        for option, values in each.option_choices().items()
    ]
    script = _BASH.replace("@VERBS@", " ".join(commands.VERBS)).replace(
        "@GROUPS@", " ".join(groups)
    )
    for name, cases in (("ACTIONS", actions), ("CHOICES", choices), ("OPTIONS", options)):
        script = script.replace(f"@{name}@", "\n".join(cases))
    return script


def zsh() -> str:
    """Return the script for zsh, which can run bash's."""
    return _ZSH + bash()


def fish() -> str:
    """Return the script for fish, with each word's description."""
    return _FISH + "\n".join(_fish_lines()) + "\n"


def _fish_lines() -> Iterator[str]:
    first = "test (count (commandline -opc)) -eq"
    for name, verb in commands.VERBS.items():
        yield f"complete -c harness -f -n '{first} 1' -a {name} -d {_quote(verb.summary)}"
        for action, summary in verb.actions.items():
            condition = f"__harness_at {name}; and {first} 2"
            yield f"complete -c harness -f -n '{condition}' -a {action} -d {_quote(summary)}"
    for name, action in commands.leaves():
        leaf = parser.build(name, action)
        choices = leaf.option_choices()
        for option, text in leaf.option_helps().items():
            values = " ".join(choices.get(option, ()))
            if option == "--env":
                values = "(path basename clusters/*/)"
            argument = f" -x -a {_quote(values)}" if values else ""
            yield (
                f"complete -c harness -n '__harness_at {name} {action}' "
                f"-l {option[2:]} -d {_quote(text)}{argument}"
            )


def _case(pattern: str, words: Iterable[str], *, indent: int) -> str:
    return f'{" " * indent}"{pattern}") words="{" ".join(words)}" ;;'


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SCRIPTS = {"bash": bash, "zsh": zsh, "fish": fish}
