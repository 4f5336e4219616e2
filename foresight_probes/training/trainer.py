"""A bank through Lightning's trainer: fit, select, test once, and nothing printed."""

import logging
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from foresight_cache.errors import Interrupted, UsageError
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.training.bank import Bank
from foresight_probes.training.threads import Threads

SMALL_BATCH = 16 * 1024**2
"""Bytes of tokens in a batch below which one thread is as fast as several."""


def fit(bank: Bank, data: FeatureData, loggers: Sequence[Logger] = ()) -> None:
    """Trains all heads for a round, selects, and evaluates the test split once.

    A run whose loss is no longer finite is in `bank.failures`, and has no test scores unless an epoch was evaluated
    before. Prints nothing and writes no file of its own. Raises `Interrupted` on Ctrl-C, and `UsageError` for a device
    that is not there.
    """
    train(bank, data, loggers)
    test(bank, data)


def train(bank: Bank, data: FeatureData, loggers: Sequence[Logger] = ()) -> None:
    """Trains the active heads for a round and selects, as `fit` does, without the test split."""
    with _running(bank, data, loggers) as trainer:
        trainer.fit(bank, datamodule=data)


def validate(bank: Bank, data: FeatureData) -> None:
    """Evaluates the active heads as they are on the validation split: their epoch 0."""
    with _running(bank, data) as trainer:
        trainer.validate(bank, datamodule=data, verbose=False)


def test(bank: Bank, data: FeatureData) -> None:
    """Evaluates the test split with the best weights of the active heads."""
    with _running(bank, data) as trainer:
        trainer.test(bank, datamodule=data, verbose=False)


@contextmanager
def _running(bank: Bank, data: FeatureData, loggers: Sequence[Logger] = ()) -> Iterator[Trainer]:
    _require_device(bank.options.device)
    bank.crowded = data.tokens and data.batch_bytes >= SMALL_BATCH
    with (
        _quiet(),
        _alone(),
        Threads(_threads(bank.options.device)) as bank.threads,
        tempfile.TemporaryDirectory() as folder,
    ):
        trainer = Trainer(
            accelerator=bank.options.device,
            devices=1,
            plugins=[LightningEnvironment()],  # or it takes part in SLURM's or torchrun's world of processes
            max_epochs=bank.epochs,
            logger=list(loggers),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            inference_mode=False,  # the memory of standardised features is used in training again
            default_root_dir=folder,
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            yield trainer
        except SystemExit as error:  # how Lightning answers Ctrl-C, after it has made SIGINT ignored
            raise Interrupted(
                f"interrupted while training on {data.name}; finished runs are kept, run it again to go on"
            ) from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)


def _require_device(name: str) -> None:
    absent = {"cuda": not torch.cuda.is_available(), "mps": not torch.backends.mps.is_available()}
    if absent.get(name):
        raise UsageError(f"device is {name!r}, but torch finds none here; use 'auto' or 'cpu'")


def _threads(device: str) -> int:
    """Threads to share out work to: those of the CPU where that is what computes."""
    gpu = device == "auto" and (torch.cuda.is_available() or torch.backends.mps.is_available())
    return 1 if gpu or device not in ("auto", "cpu") else torch.get_num_threads()


@contextmanager
def _alone() -> Iterator[None]:
    """Lets loggers write whatever rank a scheduler gave this process: Lightning mutes all but that of rank 0."""
    lightning: Any = rank_zero_only
    rank = lightning.rank
    lightning.rank = 0
    try:
        yield
    finally:
        lightning.rank = rank


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what Lightning says of devices, workers and intervals, none of which is news to the user."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)
