"""Loggers of the validation values of each epoch."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from foresight_cache.errors import MissingExtra, UnknownName

NAMES = ("csv", "tensorboard", "wandb", "none")


def require_known(names: Sequence[str]) -> None:
    """Raises `UnknownName` for a name that is not one of `NAMES`."""
    for name in names:
        if name not in NAMES:
            raise UnknownName("logger", name, NAMES)


def open_loggers(names: Sequence[str], runs: Path, point: str) -> list[Logger]:
    """Returns loggers that write to `RUNS/logs/<point>`; Weights & Biases where its environment says.

    Raises `UnknownName`, and `MissingExtra` for one whose package is not installed.
    """
    require_known(names)
    loggers: list[Logger] = []
    for name in dict.fromkeys(names):
        try:
            if name == "csv":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    loggers.append(CSVLogger(runs / "logs", name=point))
            if name == "tensorboard":
                loggers.append(TensorBoardLogger(runs / "logs", name=point))
            if name == "wandb":
                loggers.append(WandbLogger(name=point, save_dir=runs / "logs", group=runs.name))
        except ModuleNotFoundError as error:
            raise MissingExtra(name, extra=name, purpose=f"logging to {name}") from error
    return loggers
