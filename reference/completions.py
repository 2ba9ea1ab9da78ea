"""Completions for bash, zsh and fish."""

from __future__ import annotations

from collections.abc import Iterable

from reference.words import Command, Option

_MADE = "# Made by `make reference` from the parsers of aprp; changes here are lost.\n"


def bash(program: Command) -> str:
    """The function `_aprp`, which needs no helpers of bash-completion."""
    cases = []
    for command in program.commands:
        for option in _all_options(command):
            if option.value is not None:
                pattern = "|".join(f"'{command.name} {name}'" for name in option.names)
                cases.append(f"    {pattern})\n      {_bash_value(option)}\n      return ;;\n")
    words = "".join(
        f"    {each.name})\n"
        f'      words="{_words(each, _all_options(each))}"\n'
        + ("      files=yes\n" if _takes_files(each) else "")
        + "      ;;\n"
        for each in program.commands
    )
    words += "".join(
        f"    '{each.name} {sub.name}')\n      words=\"{_words(sub, sub.options)}\"\n      ;;\n"
        for each, sub in _grouped(program)
    )
    groups = " | ".join(f"'{each.name} {sub.name}'" for each, sub in _grouped(program))
    return f"""\
# bash completion for aprp
{_MADE}
_aprp() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local command='' words='' files='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command ${{COMP_WORDS[i]}}" in
      {groups}) command="$command ${{COMP_WORDS[i]}}" ;;
      ' '[!-]*) command=${{COMP_WORDS[i]}} ;;
    esac
  done
  case "$command $before" in
{"".join(cases)}  esac
  case $command in
    '')
      words="{_words(program, program.options)}"
      ;;
{words}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ $files && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${{#COMPREPLY[@]}}" COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -F _aprp aprp
"""


def zsh(program: Command) -> str:
    """The function `_aprp` for zsh's `_arguments`."""
    commands = "".join(f"    {_quoted(f'{each.name}:{each.about}')}\n" for each in program.commands)
    cases = "".join(
        f"    {each.name})\n      _arguments -s \\\n"
        + " \\\n".join(f"        {line}" for line in _zsh_arguments(each))
        + "\n      ;;\n"
        for each in program.commands
    )
    top = " \\\n".join(f"    {_zsh_option(each)}" for each in program.options)
    return f"""\
#compdef aprp
{_MADE}
_aprp() {{
  local context state line
  local -a commands
  commands=(
{commands}  )
  _arguments -C \\
{top} \\
    '1:command:->command' '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $line[1] in
{cases}    esac
    ;;
  esac
}}
_aprp "$@"
"""


def fish(program: Command) -> str:
    """Calls of `complete`."""
    lines = ["complete -c aprp -f"]
    for option in program.options:
        lines.append(f"complete -c aprp -n __fish_use_subcommand {_fish_option(option)}")
    for command in program.commands:
        about = f"-a {command.name} -d {_fish_quoted(command.about)}"
        lines.append(f"complete -c aprp -n __fish_use_subcommand {about}")
    for command in program.commands:
        when = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines += [f"complete -c aprp {when} {_fish_option(each)}" for each in _all_options(command)]
        for sub in command.commands:
            about = f"-a {sub.name} -d {_fish_quoted(sub.about)}"
            lines.append(f"complete -c aprp {when} {about}")
            inner = f"-n '__fish_seen_subcommand_from {sub.name}'"
            lines += [
                f"complete -c aprp {inner} -a {each.name} -d {_fish_quoted(each.about)}"
                for each in sub.commands
            ]
        if _takes_files(command):
            lines.append(f"complete -c aprp {when} -F")
    return f"# fish completion for aprp\n{_MADE}\n" + "\n".join(lines) + "\n"


def _grouped(program: Command) -> list[tuple[Command, Command]]:
    """The commands of commands that have commands of their own."""
    return [(each, sub) for each in program.commands for sub in each.commands if sub.commands]


def _takes_files(command: Command) -> bool:
    return command.argument is not None and command.argument.startswith("FILE")


def _words(command: Command, options: Iterable[Option]) -> str:
    """What may follow the command: its own commands, and these options."""
    names = (name for each in options for name in each.names)
    return " ".join((*(each.name for each in command.commands), *names))


def _all_options(command: Command) -> list[Option]:
    """The options of the command and those that only its own commands have."""
    found = {each.names: each for each in command.options}
    for sub in command.commands:
        for each in sub.options:
            found.setdefault(each.names, each)
    return list(found.values())


def _bash_value(option: Option) -> str:
    if option.choices:
        words = " ".join(option.choices)
        return f'mapfile -t COMPREPLY < <(compgen -W "{words}" -- "$current")'
    if option.files:
        return (
            "compopt -o filenames 2>/dev/null\n"
            '      mapfile -t COMPREPLY < <(compgen -f -- "$current")'
        )
    return ":"


def _zsh_arguments(command: Command) -> list[str]:
    lines = [_zsh_option(option) for option in _all_options(command)]
    if command.commands:
        subs = " ".join(each.name for each in command.commands)
        lines.append(_quoted(f"1:command:({subs})"))
        for sub in command.commands:
            if sub.commands:
                inner = " ".join(each.name for each in sub.commands)
                action = f"{{(( $words[(I){sub.name}] )) && compadd {inner}}}"
                lines.append(_quoted(f"2:argument:{action}"))
    elif command.argument is not None:
        action = "_files" if _takes_files(command) else " "
        lines.append(_quoted(f"*:{command.argument.removesuffix(' ...')}:{action}"))
    return lines


def _zsh_option(option: Option) -> str:
    about = option.about.replace("[", "(").replace("]", ")").replace(":", r"\:")
    value = ""
    if option.value is not None:
        action = f"({' '.join(option.choices)})" if option.choices else ""
        action = action or ("_files" if option.files else " ")
        value = f":{option.value.replace(':', ' ')}:{action}"
    if len(option.names) == 1:
        return _quoted(f"*{option.names[0]}[{about}]{value}")
    return f"{{{','.join(option.names)}}}{_quoted(f'[{about}]{value}')}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_option(option: Option) -> str:
    names = [f"-s {name[1:]}" for name in option.names if not name.startswith("--")]
    names += [f"-l {name[2:]}" for name in option.names if name.startswith("--")]
    if option.choices:
        names.append(f"-x -a '{' '.join(option.choices)}'")
    elif option.value is not None:
        names.append("-r -F" if option.files else "-x")
    return f"{' '.join(names)} -d {_fish_quoted(option.about)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
