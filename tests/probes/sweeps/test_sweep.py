"""A sweep from words and from YAML, and what is wrong with them."""

from pathlib import Path

import pytest

from foresight_cache.errors import UnknownName, UsageError
from foresight_probes.options import TrainingOptions
from foresight_probes.sweeps.sweep import option_names, parse_sweep
from tests.support.command import foresight

QUICK = TrainingOptions(epochs=2, resamples=10)


def test_words_and_a_file_say_the_same(tmp_path: Path) -> None:
    words = {"task": "boxes,position", "points": "E4, E4+E5", "seeds": "0,1", "lr": "1e-4,1e-3", "epochs": 3}
    path = tmp_path / "sweep.yaml"
    path.write_text("task: [boxes, position]\npoints: [E4, E4+E5]\nseeds: [0, 1]\nlr: [1e-4, 1.0e-3]\nepochs: 3\n")
    assert parse_sweep(words) == parse_sweep({}, path)
    assert parse_sweep(words).sweep.learning_rates == (1e-4, 1e-3)
    assert parse_sweep(words).sweep.points == ("E4", "E4+E5")


def test_words_stand_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("task: boxes\nepochs: 3\nweight_decay: 0.1\nstrengths: [1e-3, 1]\ndevices: 2\nlogger: none\n")
    parsed = parse_sweep({"epochs": 5, "task": None}, path)
    assert (parsed.sweep.options.epochs, parsed.sweep.options.weight_decay) == (5, 0.1)
    assert (parsed.sweep.options.strengths, parsed.sweep.weight_decays) == ((1e-3, 1.0), ())
    assert (parsed.devices, parsed.loggers) == (2, ("none",))
    assert parse_sweep({"task": "boxes", "weight_decay": "0,0.1"}).sweep.weight_decays == (0.0, 0.1)


@pytest.mark.parametrize("name", option_names())
def test_every_name_is_an_option_of_the_command_or_a_training_option(name: str) -> None:
    shown = foresight("train-probe", "--help").stdout
    assert f"--{name.replace('_', '-')}" in shown or hasattr(QUICK, name)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("epoch: 5\n", UnknownName, "did you mean 'epochs'"),
        ("lrr: 1\n", UnknownName, r"unknown option in .*yaml 'lrr'; did you mean 'lr'"),
        ("heds: mlp\n", UnknownName, "did you mean 'heads'"),
        ("task: boxes\nseeds: [a]\n", UsageError, r"seeds is \['a'\], expected numbers, for example 0,1"),
        ("task: boxes\nlr: [0]\n", UsageError, "lr has the value 0.0, expected numbers above 0"),
        ("task: boxes\ndevices: 0\n", UsageError, "devices is 0, expected a whole number of at least 1"),
        ("task: boxes\nlogger: cvs\n", UnknownName, "unknown logger 'cvs'; did you mean 'csv'"),
        ("epochs: 3\n", UsageError, "no task was named; name one, for example --task boxes"),
        ("- 3\n", UsageError, "holds a list, expected names with values"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, error: type[Exception], words: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(error, match=words):
        parse_sweep({}, path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("# nothing\n")
    assert parse_sweep({"task": "boxes"}, path).sweep.options == TrainingOptions()
    path.write_text("epochs: 5\nlearning_rate: 1.0e-3\n")
    assert parse_sweep({"task": "boxes"}, path).sweep.options == TrainingOptions(epochs=5, learning_rate=0.001)


@pytest.mark.parametrize("text", ["epochs: [\n", "epochs: !!python/object/apply:os.getcwd []\n"])
def test_what_is_not_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not YAML"):
        parse_sweep({"task": "boxes"}, path)


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the configuration .* No such file"):
        parse_sweep({"task": "boxes"}, tmp_path / "absent.yaml")
