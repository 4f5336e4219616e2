"""A sweep: the runs that are wanted, as a YAML file or as words of a command line, under the same names."""

import dataclasses
from collections.abc import Callable, Container, Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from foresight_cache.errors import ManifestError, UnknownName, UsageError
from foresight_cache.lists import split_list
from foresight_cache.yaml_lines import read_entries
from foresight_probes import controls
from foresight_probes.options import TrainingOptions
from foresight_probes.training.loggers import require_known
from foresight_probes.training.run_spec import RunSpec


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """A request for runs: every task on every point with every head, seed and value of the grids.

    Raises `UsageError` where no task or seed is named, or a value is not possible.
    """

    tasks: tuple[str, ...]
    points: tuple[str, ...] | None = None
    """Names, aliases or patterns of the cache's points; several joined by + for heads that take several at once;
    None for all."""
    heads: tuple[str, ...] | None = None
    """Names or aliases (`linear`); None for those of each task."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the heads' initial weights; the order of samples is `shuffle_seed` for all."""
    learning_rates: tuple[float, ...] = ()
    """Peak step sizes that are tried, each in a run of its own; none for that of the options or each head's own."""
    weight_decays: tuple[float, ...] = ()
    """Weight decays that are tried, each in a run of its own; none for that of the options."""
    options: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)
    controls: tuple[str, ...] = ()
    """Controls that stand beside every number, for the first seed; see `foresight_probes.controls`."""
    twin: str | None = None
    """Place of the cache of a model of the same architecture with random weights, for the control `random-twin`."""
    lpips_weights: Path | None = None
    """Folder with the weights that perceptual metrics need; None for torch's cache of downloads."""

    def __post_init__(self) -> None:
        if not self.tasks or not self.seeds:
            missing = "seed" if self.tasks else "task"
            raise UsageError(f"no {missing} was named; name one, for example --task boxes --seeds 0")
        for name, values, least in (("lr", self.learning_rates, 0.0), ("weight_decay", self.weight_decays, -1.0)):
            for value in values:
                if not value > least or value != value or value == float("inf"):
                    expected = "above" if least == 0 else "of at least"
                    raise UsageError(f"{name} has the value {value!r}, expected numbers {expected} 0")

    def runs(self, task: str, heads: Iterable[str], *, solved: Container[str] = ()) -> list[RunSpec]:
        """Returns a run of each head for each seed and value of the grids.

        Heads that are `solved` have no step size, so they are in no grid.
        """
        runs = []
        for head in dict.fromkeys(heads):
            closed = head in solved
            rates = (None,) if closed else self.learning_rates or (None,)
            decays = (None,) if closed else self.weight_decays or (None,)
            for seed, rate, decay in product(dict.fromkeys(self.seeds), dict.fromkeys(rates), dict.fromkeys(decays)):
                runs.append(RunSpec(task, head, seed, learning_rate=rate, weight_decay=decay))
        return runs


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SweepRequest:
    """A sweep with the way to carry it out, which its results do not depend on."""

    sweep: Sweep
    devices: int = 1
    """Processes that share out the points, each with a GPU of its own where there are GPUs."""
    loggers: tuple[str, ...] = ("csv",)
    """Loggers of each epoch's validation values: csv, tensorboard, wandb, none."""


def parse_sweep(words: Mapping[str, Any], config: Path | None = None) -> SweepRequest:
    """Returns the sweep of names and values, of which those that are not None replace what stands in the file.

    Raises `UsageError` for a value that is not possible or a file that cannot be read, and `UnknownName`, with the
    nearest, for a name that does not exist.
    """
    settings = _from_yaml(config) if config else {}
    given = {name: value for name, value in words.items() if value is not None}
    for names in _ONE_MEANING:
        if len(both := [name for name in names if name in given]) > 1 or (
            not both and len(both := [name for name in names if name in settings]) > 1
        ):
            raise UsageError(f"{' and '.join(both)} are both given and mean the same; leave out one of them")
        if any(name in given for name in names):
            settings = {name: value for name, value in settings.items() if name not in names}
    settings |= given
    for name in settings:
        if name not in option_names():
            raise UnknownName("option", name, option_names())
    if "task" not in settings:
        raise UsageError("no task was named; name one, for example --task boxes")
    for name in ("twin", "lpips_weights"):
        if not isinstance(settings.get(name), str | Path | None):
            raise UsageError(f"{name} is {settings[name]!r}, expected the name of a folder")
    lists = {name: _list(name, settings[name]) for name in _LISTS if name in settings}
    if isinstance(settings.get("weight_decay"), int | float):  # one number is the option, a list or text is a grid
        del lists["weight_decay"]
    training = {name: value for name, value in settings.items() if name in _training() and name not in lists}
    loggers = lists.get("logger", ("csv",))
    require_known(loggers)
    chosen = _controls(settings.get("controls", True))
    if settings.get("twin") and "random-twin" not in chosen:
        raise UsageError(f"the twin {settings['twin']} is a control, but controls are off; leave out one of the two")
    weights = settings.get("lpips_weights")
    devices = settings.get("devices", 1)
    if type(devices) is not int or devices < 1:
        raise UsageError(f"devices is {devices!r}, expected a whole number of at least 1")
    return SweepRequest(
        sweep=Sweep(
            tasks=lists["task"],
            points=lists.get("points"),
            heads=lists.get("heads"),
            seeds=lists.get("seeds", (0,)),
            learning_rates=lists.get("lr", ()),
            weight_decays=lists.get("weight_decay", ()),
            options=TrainingOptions(**{name: _NUMBERS.get(name, _as_is)(value) for name, value in training.items()}),
            controls=chosen,
            twin=settings.get("twin"),
            lpips_weights=Path(weights) if weights else None,
        ),
        devices=devices,
        loggers=loggers,
    )


def option_names() -> tuple[str, ...]:
    """Returns all names that a file may have."""
    return (
        *_LISTS,
        "controls",
        "devices",
        "lpips_weights",
        "twin",
        *(name for name in _training() if name not in _LISTS),
    )


def _controls(value: Any) -> tuple[str, ...]:
    """Returns the controls of a list or a text of names, all for true and none for false."""
    if isinstance(value, bool):
        return controls.names() if value else ()
    names = _list("controls", value)
    for name in names:
        if name not in controls.names():
            raise UnknownName("control", name, controls.names())
    return names


def _training() -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(TrainingOptions))


def _from_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict | None):
        raise UsageError(f"the configuration {path} holds a {type(content).__name__}, expected names with values")
    if content:
        _require_once(text, path)
    for name in content or {}:
        if name not in option_names():
            raise UnknownName(f"option in {path}", str(name), option_names())
    return {name: value for name, value in (content or {}).items() if value is not None}


def _require_once(text: str, path: Path) -> None:
    """Raises `UsageError` where a name stands twice, of which YAML's reader would take the last."""
    try:
        read_entries(text, str(path))
    except ManifestError as error:
        raise UsageError(str(error)) from error


def _list(name: str, value: Any) -> tuple[Any, ...]:
    """Returns the elements of one value, of several, or of a text with commas between them."""
    values = value if isinstance(value, list | tuple) else [value]
    elements = dict.fromkeys(element for entry in values for element in split_list(str(entry), name))
    try:
        return tuple(map(_LISTS.get(name, str), elements))
    except ValueError:
        example = {"seeds": "0,1", "lr": "1e-4,1e-3", "weight_decay": "0,0.1"}[name]
        raise UsageError(f"{name} is {value!r}, expected numbers, for example {example}") from None


def _as_is(value: Any) -> Any:
    return value


def _number(value: Any) -> Any:
    """YAML takes 1e-3 for a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _numbers(value: Any) -> Any:
    return [_number(entry) for entry in value] if isinstance(value, list | tuple) else value


_LISTS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("task", "points", "heads", "logger"), str),
    **{"seeds": int, "lr": float, "weight_decay": float},
}
_ONE_MEANING = (("lr", "learning_rate"),)
"""Names of which one alone can be given."""
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "learning_rate": _number,
    "perceptual_weight": _number,
    "train_share": _number,
    "validation_share": _number,
    "confidence": _number,
    "strengths": _numbers,
}
