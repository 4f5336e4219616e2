"""What is typed wrong is one sentence on stderr, wrong usage, and names the nearest right word."""

from pathlib import Path

import pytest

from tests.support.command import said

EMPTY = "which has an empty element; put one comma between two"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("extrct S", "No such command 'extrct'; did you mean 'extract'? (see 'foresight --help')"),
        ("models shw", "No such command 'shw'; did you mean 'show'? (see 'foresight models --help')"),
        ("extract S --pionts E1", "No such option: --pionts (Possible options: --points, --print-sbatch, --prompt)"),
        ("extract S --model", "Option '--model' requires an argument"),
        ("runs", "Missing argument"),
        ("runs R --limit 0", "Invalid value for '--limit'"),
        ("prepare shapes --out S --limit many", "Invalid value for '--limit'"),
        ("prepare shapse --out S", "unknown dataset 'shapse'; did you mean 'shapes'"),
        ("prepare shapes", "Missing option '--out'"),
        ("extract S --model m --points E1 --out C --fit letterbx", "is not one of 'stretch', 'letterbox'"),
        ("extract S --model m --points E1,,E4 --out C", f"--points is 'E1,,E4', {EMPTY}"),
        ("extract S --model m --points , --out C", f"--points is ',', {EMPTY}"),
        ("plan S --model m --points E1, --out C", f"--points is 'E1,', {EMPTY}"),
        ("tasks show boxs", "unknown task 'boxs'; did you mean 'boxes' or 'naive-boxes'"),
        ("heads show token-liner", "unknown head 'token-liner'; did you mean 'token-linear'"),
        ("heads --json show mlp", "--json stands before 'show'; put it behind"),
        ("bench probs", "unknown benchmark 'probs'; did you mean 'probes'"),
        ("demo one two", "Got unexpected extra argument"),
    ],
)
def test_one_sentence(words: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = said(*words.split(), status=2)
    assert text.startswith("foresight: ")
    assert text.count("\n") == 1
    assert sentence in text
    assert not list(tmp_path.iterdir())


def test_an_empty_list(tmp_path: Path) -> None:
    words = ("extract", tmp_path, "--model", "m", "--out", tmp_path / "C")
    assert "--points is empty, expected one or more elements" in said(*words, "--points", " ", status=2)
