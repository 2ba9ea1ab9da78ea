"""The manual pages: aprp(1) and aprp(8) from the parsers, aprp.yaml(5) from the settings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aprp import __version__
from aprp.config.descriptions import description_of
from aprp.config.routes import KINDS, RouteSettings, TransferSettings
from aprp.config.scalars import Scalar
from aprp.config.settings import Settings
from reference.words import Command, Option

_SEE = ".SH SEE ALSO\n"
_PROGRAM = (
    "aprp serves byte ranges of files from one upstream, or from several mirrors of the same file "
    "at once, as one HTTP response. When a source fails, the others continue the response."
)


def commands_page(program: Command) -> str:
    """aprp(1)."""
    lines = [_head("aprp", 1, "commands of the range proxy"), ".SH SYNOPSIS"]
    lines += [line for command in program.commands for line in _synopsis(command)]
    lines += [".SH DESCRIPTION", _text(_PROGRAM), ".SH COMMANDS"]
    for command in program.commands:
        lines += [f".SS aprp {_text(command.name)}", _sentence(command.about)]
        if command.name == "serve":
            lines.append("See\n.BR aprp (8).")
            continue
        for name, sub in _leaves(command.commands):
            argument = f" {sub.argument}" if sub.argument else ""
            lines += [".TP", f".B {_text(name + argument)}", _sentence(sub.about)]
            own = [each for each in sub.options if "--help" not in each.names]
            if own:
                lines += [".RS", *_options(own), ".RE"]
            if sub.epilog:
                lines += [".PP", ".nf", _text(sub.epilog.rstrip()), ".fi"]
        lines += _options(command.options)
        if command.epilog:
            lines += [".PP", ".nf", _text(command.epilog.rstrip()), ".fi"]
    lines += [".SH EXIT STATUS", _text("0: success. 1: faults were found, or the command failed. "
              "2: the command line is invalid. aprp get has more, see above.")]  # fmt: skip
    lines += [".SH FILES", ".TP", ".I etc/aprp.yaml, /etc/aprp/aprp.yaml",
              "The configuration, where none is named."]  # fmt: skip
    return "\n".join(lines) + "\n" + _SEE + ".BR aprp.yaml (5),\n.BR aprp (8)\n"


def _leaves(commands: Iterable[Command], before: str = "") -> Iterator[tuple[str, Command]]:
    """Yield the commands that have none of their own, with their whole names."""
    for each in commands:
        if each.commands:
            yield from _leaves(each.commands, f"{before}{each.name} ")
        else:
            yield before + each.name, each


def daemon_page(program: Command) -> str:
    """aprp(8)."""
    (serve,) = (each for each in program.commands if each.name == "serve")
    lines = [_head("aprp", 8, "the daemon of the range proxy"), ".SH SYNOPSIS"]
    lines += [".B aprp serve", "[\\fIoptions\\fR]", ".br", ".B twistd -n aprp"]
    lines += ["[\\fIoptions\\fR]", ".SH DESCRIPTION"]
    lines.append(_text(_ABOUT))
    lines += [".SH OPTIONS", *_options(serve.options), ".SH SIGNALS"]
    for name, about in _SIGNALS:
        lines += [".TP", f".B {name}", _text(about)]
    lines += [".SH EXIT STATUS", _text("0 after a clean stop. 1 if it cannot start: "
              "each fault of the configuration, or what cannot be opened, is a line on standard "
              "error. 2 if the command line is invalid.")]  # fmt: skip
    lines += [".SH FILES"]
    for name, about in _FILES:
        lines += [".TP", f".I {name}", _text(about)]
    return "\n".join(lines) + "\n" + _SEE + ".BR aprp (1),\n.BR aprp.yaml (5)\n"


_ABOUT = (
    "Runs in the foreground until a signal ends it. Without options, etc/aprp.yaml in the working "
    "directory is read, then /etc/aprp/aprp.yaml. What is started without a file listens on "
    "127.0.0.1."
)
_SIGNALS = (
    (
        "SIGTERM, SIGINT",
        "Stop accepting clients, let responses end for stop_timeout, then cut those that are left. "
        "A second signal cuts them at once.",
    ),
    ("SIGHUP", "Reload the configuration, entirely or not at all, and reopen the log files."),
)
_FILES = (
    ("/etc/aprp/aprp.yaml", "The configuration."),
    ("/run/aprp/", "A place for the control socket that aprp ctl uses."),
    ("/var/log/aprp/", "A place for logs that the service may write to."),
)


def settings_page() -> str:
    """aprp.yaml(5)."""
    lines = [_head("aprp.yaml", 5, "configuration of the range proxy"), ".SH DESCRIPTION"]
    lines.append(_text(
        "A YAML file. Each value is read as it is written, by the type of its key: sizes have a "
        "unit (512KiB, 10MB), and so do times (500ms, 5s, 2m). Relative file names are relative to "
        "the file. Unknown and repeated keys are faults; aprp check reports each with its line and "
        "column. aprp init writes a file to start from, aprp init --sample prints one with every "
        "setting."
    ))  # fmt: skip
    lines += [".SH TOP LEVEL", *_settings(Settings, ())]
    lines += [".SH EVERY ROUTE", "Each item of", ".B routes", "has exactly one of",
              ".BR upstream ,", ".B sources", "and", ".BR query .",
              *_settings(RouteSettings, ())]  # fmt: skip
    common = set(RouteSettings.model_fields)
    lines += [".SH ROUTES WITH UPSTREAM", *_settings(KINDS["upstream"], common, changed=True)]
    lines += [".SH ROUTES WITH SOURCES OR QUERY", *_settings(TransferSettings, common)]
    common |= set(TransferSettings.model_fields)
    lines += [".SH ROUTES WITH SOURCES", *_settings(KINDS["sources"], common)]
    lines += [".SH ROUTES WITH QUERY", *_settings(KINDS["query"], common)]
    return "\n".join(lines) + "\n" + _SEE + ".BR aprp (1),\n.BR aprp (8)\n"


def _settings(
    model: type[BaseModel], known: Iterable[str], prefix: str = "", changed: bool = False
) -> Iterator[str]:
    """A paragraph for each setting that isn't known, or whose default has changed."""
    for name, field in model.model_fields.items():
        inherited = RouteSettings.model_fields.get(name)
        other = changed and inherited is not None and inherited.default != field.default
        if name in known and not other:
            continue
        yield ".TP"
        yield f".B {_text(prefix + name)}"
        yield _text(_described(model, name))
        inner = _inner(field)
        if inner is not None and name != "routes":
            yield from _settings(inner, (), f"{prefix}{name}.")


def _described(model: type[BaseModel], name: str) -> str:
    """What the setting is for, and its default as it stands in a file."""
    field = model.model_fields[name]
    about = " ".join(description_of(model, name).split())
    if field.is_required():
        return f"{about} Required."
    scalar = next((each for each in field.metadata if isinstance(each, Scalar)), None)
    if scalar is None or field.default is None:
        return about
    return f"{about} Default: {scalar.write(field.default)}."


def _inner(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a setting that has settings of its own."""
    left: list[object] = [field.annotation]
    while left:
        each = left.pop(0)
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
        left += getattr(each, "__args__", ())
    return None


def _synopsis(command: Command) -> Iterator[str]:
    argument = "COMMAND" if command.commands else command.argument
    yield f".B aprp {_text(command.name)}"
    yield "[\\fIoptions\\fR]" + (f" \\fI{_text(argument)}\\fR" if argument else "")
    yield ".br"


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
        value = f" \\fI{_text(option.value)}\\fR" if option.value else ""
        yield from (".TP", names + value, _sentence(option.about))


def _head(name: str, section: int, about: str) -> str:
    title = f'.TH {name.upper()} {section} "" "aprp {__version__}" "aprp manual"'
    made = '.\\" Made by `make reference`; changes here are lost.'
    return f"{made}\n{title}\n.SH NAME\n{name} \\- {about}"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return _text(text if text.endswith(".") else text + ".")


def _text(text: str) -> str:
    """The text as roff shows it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^(['.])", r"\\&\1", text, flags=re.MULTILINE)
