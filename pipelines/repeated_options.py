"""Options that stand twice on a command line, of which the parser would take the last without a word."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

from foresight_cache.errors import UsageError

Command = TyperCommand | TyperGroup


def require_once(program: Any, arguments: Sequence[str]) -> None:
    """Raises `UsageError` for an option that is given twice, or with both of its meanings.

    Options that take several values may be repeated, and so may a switch that is the same both times.

    Args:
        program: A command or a group of commands, as typer makes them.
        arguments: The words of the command line.
    """
    command, seen = program, dict[str | None, str]()
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        if not word.startswith("-"):
            inner = command.commands.get(word) if isinstance(command, TyperGroup) else None
            if isinstance(inner, Command):
                command, seen = inner, {}
            continue
        name, _, value = word.partition("=")
        option = _option(command, name)
        if option is None:
            continue
        if not option.is_flag and not value:
            next(words, None)
        if option.multiple or (option.is_flag and seen.get(option.name, name) == name):
            seen[option.name] = name
        elif option.name in seen:
            other = seen[option.name]
            twice = f"{name} is given twice" if other == name else f"{other} and {name} are both given"
            raise UsageError(f"{twice}; leave out one of them")
        else:
            seen[option.name] = name


def _option(command: Command, name: str) -> TyperOption | None:
    options = (own for own in command.params if isinstance(own, TyperOption))
    return next((own for own in options if name in (*own.opts, *own.secondary_opts)), None)
