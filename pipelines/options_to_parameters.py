"""Options classes as parameters of a command: one option for each field that carries a `Flag`."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import Field, fields, is_dataclass
from functools import cache, wraps
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

import typer

from foresight_cache.option_help import Flag


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Returns the command with each parameter of an options class replaced by the options of that class.

    The class is built from them before the command runs, so that it refuses a wrong value first.
    """
    parameters = inspect.signature(command).parameters
    classes: dict[str, type] = {
        name: cast(type, each.annotation) for name, each in parameters.items() if is_dataclass(each.annotation)
    }

    @wraps(command)
    def run(**values: Any) -> None:
        made = {name: _build(options, values) for name, options in classes.items()}
        command(**made, **values)

    expanded = [
        option
        for name, parameter in parameters.items()
        for option in (_options(classes[name]) if name in classes else (parameter,))
    ]
    run.__annotations__ = {option.name: option.annotation for option in expanded}
    cast(Any, run).__signature__ = inspect.Signature(expanded)
    return run


@cache
def _options(options: type) -> tuple[inspect.Parameter, ...]:
    """One parameter for each flag of a class and of the classes inside it, in the order of the fields."""
    parameters: list[inspect.Parameter] = []
    for field, kind, flag in _fields(options):
        parameters += [_option(field, kind, flag)] if flag else _options(kind)
    return tuple(parameters)


def _option(field: Field[Any], kind: Any, flag: Flag) -> inspect.Parameter:
    name = flag.name or (f"--{field.name.replace('_', '-')}" if kind is bool else None)
    option = typer.Option(
        *([name] if name else []),
        help=flag.help,
        min=flag.at_least,
        max=flag.at_most,
        show_default="off" if kind is bool else flag.unset or True,
    )
    default = field.default if flag.default is None else flag.default
    if get_origin(kind) is tuple and not flag.parse:  # an option that may be repeated
        kind, default = list[get_args(kind)[0]] | None, None  # type: ignore[misc]
    return inspect.Parameter(
        field.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=Annotated[str if flag.parse else kind, option],
    )


def _build(options: type, values: dict[str, Any]) -> Any:
    """An instance, from those of `values` that are its fields; they are removed."""
    return options(**{field.name: _value(field, kind, flag, values) for field, kind, flag in _fields(options)})


def _value(field: Field[Any], kind: Any, flag: Flag | None, values: dict[str, Any]) -> Any:
    if flag is None:
        return _build(kind, values)
    value = values.pop(field.name)
    if get_origin(kind) is tuple and not flag.parse:
        return tuple(value or ())
    return flag.parse(value) if flag.parse else value


def _fields(options: type) -> Iterator[tuple[Field[Any], Any, Flag | None]]:
    """Fields with their types and flags; a field without a flag is of an options class itself."""
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        kind, *metadata = (
            get_args(hints[field.name]) if get_origin(hints[field.name]) is Annotated else [hints[field.name]]
        )
        yield field, kind, next((each for each in metadata if isinstance(each, Flag)), None)
