"""An option that stands twice is refused, on the command line and in a file, and so are two names of one thing."""

from pathlib import Path

import pytest

from tests.support.command import foresight, said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("train-probe C --task boxes --epochs 1 --epochs 2 --out R", "--epochs is given twice; leave out one of them"),
        ("train-probe C --task=boxes --task counting --out R", "--task is given twice"),
        ("train-probe C --task boxes --controls --no-controls --out R", "--controls and --no-controls are both given"),
        ("prepare shapes --out S --out T", "--out is given twice"),
        ("report R --out A --out=B", "--out is given twice"),
    ],
)
def test_twice_on_the_command_line(words: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in said(*words.split(), status=2)
    assert not list(tmp_path.iterdir())


def test_what_may_be_repeated(tmp_path: Path) -> None:
    """Conditions, which all must hold, a switch that says the same, and a value that looks like an option's name."""
    run = foresight("runs", tmp_path, "--where", "task=boxes", "--where", "value>0", "--json", "--json")
    assert "holds no probe results" in run.stderr
    run = foresight("runs", tmp_path, "--sort", "--limit", "--limit", "3")
    assert "given twice" not in run.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epochs: 40\ntask: boxes\nepochs: 1\n", "line 3: the key 'epochs' is given twice, first on line 1"),
        ("task: boxes\nlr: [1e-3]\nlearning_rate: 0.5\n", "lr and learning_rate are both given and mean the same"),
        ("task: boxes\nweight_decay: .inf\n", "weight_decay is inf, expected a finite number of at least 0"),
        ("task: boxes\nstrengths: [0.1, .inf]\n", "expected a list of finite numbers above 0"),
        ("task: boxes\nstrengths: [.nan]\n", "expected a list of finite numbers above 0"),
        ("task: boxes\nlearning_rate: 1e400\n", "learning_rate is inf, expected a finite number above 0"),
        (
            "task: boxes\nperceptual_weight: -.inf\n",
            "perceptual_weight is -inf, expected a finite number of at least 0",
        ),
        ("task: boxes\ntrain_share: .nan\n", "train_share is nan, expected a number between 0 and 1"),
        ("task: boxes\nlr: [.inf]\n", "lr has the value inf"),
    ],
)
def test_a_file_that_says_one_thing_twice_or_no_number(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    assert sentence in said("train-probe", tmp_path, "--config", path, "--out", tmp_path / "runs", status=2)
    assert [own.name for own in tmp_path.iterdir()] == ["sweep.yaml"]


def test_the_command_line_stands_over_another_name_in_the_file(tmp_path: Path) -> None:
    from foresight_probes.sweeps.sweep import parse_sweep

    path = tmp_path / "sweep.yaml"
    path.write_text("task: boxes\nlearning_rate: 0.5\n")
    sweep = parse_sweep({"lr": "1e-3"}, path).sweep
    assert (sweep.learning_rates, sweep.options.learning_rate) == ((1e-3,), None)
