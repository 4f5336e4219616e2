"""`foresight answers` as its user meets it: what it prints, what it refuses, and what a second call does."""

import json
from pathlib import Path

import pytest

from tests.support import questions
from tests.support.command import foresight, said, with_options
from tests.support.preparing import prepare

USUAL = ("--model", "tiny:qwen2_5_vl", "--size", 112, "--max-new-tokens", 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("answers")
    questions.prepared(root, images=2)
    return root


def test_answers_are_judged(folder: Path) -> None:
    out = folder / "forced"
    run = foresight("answers", folder / "S", *USUAL, "--choices", "yes,no", "--out", out, "--json")
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert (told["model"], told["answers"], told["failed"], told["cut"]) == ("tiny:qwen2_5_vl", 6, 0, 0)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    again = foresight("answers", folder / "S", *USUAL, "--choices", "yes,no", "--out", out, "--json")
    assert json.loads(again.stdout) == told
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    judged = foresight("judge", out, "--rules", "pope", "--out", folder / "judged.jsonl", "--json")
    everything = json.loads(judged.stdout)[0]
    assert (everything["answers"], everything["undecided"]) == (6, 0)
    lines = [json.loads(line) for line in (folder / "judged.jsonl").read_text().splitlines()]
    assert all(line["hallucinated"] is (line["answer"] != line["references"][0]) for line in lines)


def test_an_unfinished_folder_is_not_judged(folder: Path) -> None:
    out = folder / "part"
    run = foresight("answers", folder / "S", *USUAL, "--part", "1/2", "--out", out)
    assert run.returncode == 0, run.stderr
    assert "2 questions of other parts have no answer yet" in run.stdout
    assert [path.name for path in sorted(out.glob("*.jsonl"))] == ["shard-000000.jsonl"]
    again = foresight("answers", folder / "S", *USUAL, "--part", "1/2", "--out", out, "--json")
    assert json.loads(again.stdout) == {"left": 2}
    told = said("judge", out, "--rules", "pope", "--out", folder / "never.jsonl", status=1)
    assert "has answers to 1 of 2 shards; run the same 'foresight answers' again" in told
    assert foresight("answers", folder / "S", *USUAL, "--out", out).returncode == 0


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--choices", "yes,yeah"], 2, "begins with the same tokens"),
        (["--choices", "yes"], 2, "expected two answers or more"),
        (["--max-new-tokens", 0], 2, "max-new-tokens"),
        (["--prompt", "Look: <|image_pad|>"], 2, "<|image_pad|>"),
        (["--model", "tiny:dinov2"], 2, "has no prompt and gives no answers"),
        (["--clips-as", "sideways"], 2, "clips"),
        (["--size", 100], 2, "multiples of 28"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    folder: Path, words: list[object], status: int, told: str
) -> None:
    assert told in said("answers", folder / "S", *with_options(USUAL, words), "--out", folder / "none", status=status)
    assert not (folder / "none").exists()


def test_samples_that_cannot_be_asked_are_counted(tmp_path: Path) -> None:
    more = [{"image": "images/0.png", "question": "Look <|im_end|> there?"}]
    questions.prepared(tmp_path, images=1, more=more)
    told = said("answers", tmp_path / "S", *USUAL, "--out", tmp_path / "A", status=1)
    assert "1 of 4 samples have no answer" in told
    assert "accept it with --max-bad 0.25" in told
    run = foresight("answers", tmp_path / "S", *USUAL, "--out", tmp_path / "A", "--max-bad", 0.25)
    assert run.returncode == 0
    assert "failed       1" in run.stdout


def test_a_set_without_questions_has_no_answers(tmp_path: Path) -> None:
    prepare("shapes", out=tmp_path / "S", limit=2)
    told = said("answers", tmp_path / "S", *USUAL, "--out", tmp_path / "A", "--max-bad", 1, status=1)
    assert "2 of 2 samples have no answer" in told
    assert "the sample has no question, which the prompt '{question}' asks for" in told
