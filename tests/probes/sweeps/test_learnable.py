"""Questions that cannot be learnt, and classes that no training sample has."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score

from foresight_cache.errors import ProbeError
from foresight_probes.results.result import load_results
from foresight_probes.splits import Split
from foresight_probes.sweeps.learnable import ClassCounts, class_remarks, require_question
from foresight_probes.tasks import Task
from tests.support import scenes
from tests.support.command import foresight, said
from tests.support.task_samples import load, sample, thing


def answered(answer: bool) -> dict[str, Any]:
    return sample(qa={"question": "?", "answer": ".", "hallucinated": answer})


def named(name: str) -> dict[str, Any]:
    return sample(**{"class": {"name": name, "id": len(name)}})


def showing(*names: int, crowd: bool = False) -> dict[str, Any]:
    things = [thing([20.0 * place, 0, 20.0 * place + 20, 100], name, crowd=crowd) for place, name in enumerate(names)]
    return sample(objects=things)


def labelled(*labels: int) -> dict[str, Any]:
    picture = np.array(labels, np.uint8).reshape(1, 1, -1)
    return sample(labels={"classes": ["sky", "sea", "sand", "ship"], "ignore": 255}) | {"labels": picture}


def asked(name: str, *sides: list[dict[str, Any]]) -> tuple[Task, ClassCounts | None]:
    """The task of samples that train, select and test, and the classes of each side."""
    rows = [row for side in sides for row in side]
    task, ends = load(name, *rows), np.cumsum([0, *map(len, sides)]).tolist()
    train, validation, test = (tuple(range(*pair)) for pair in pairwise(ends))
    targets = {row: target for row, own in enumerate(rows) if (target := task.target(own)) is not None}
    return task, require_question(name, task, targets, Split(train=train, validation=validation, test=test, digest=""))


YES, NO = answered(True), answered(False)
WORDS = ("--task", "hallucination", "--points", "vit.block_01", "--heads", "ridge,logistic", "--no-controls", "--out")


@pytest.mark.parametrize(
    ("name", "sides", "side", "only"),
    [
        ("hallucination", ([YES, YES], [YES, NO], [YES, NO]), "train", "yes"),
        ("hallucination", ([YES, NO], [NO], [YES, NO]), "validation", "no"),
        ("hallucination", ([YES, NO], [YES, NO], [NO, NO, NO]), "test", "no"),
        ("classification", ([named("cat")] * 3, [named("dog")], [named("cat")]), "train", "cat"),
        ("patch-class", ([showing(), showing()], [showing(4)], [showing(4)]), "train", "background"),
        ("patch-class", ([showing(4, crowd=True)] * 2, [showing(4)], [showing(4)]), "train", "background"),
        ("patch-class", ([labelled(2, 2, 255)], [labelled(1, 2)], [labelled(0, 1)]), "train", "sand"),
    ],
)
def test_one_class_is_no_question(name: str, sides: Any, side: str, only: str) -> None:
    with pytest.raises(ProbeError, match=f"{name}: the {side} split has one class alone, '{only}'"):
        asked(name, *sides)


@pytest.mark.parametrize("row", [showing(), showing(4, crowd=True)], ids=["empty", "crowds"])
def test_no_object_is_no_question(row: dict[str, Any]) -> None:
    with pytest.raises(ProbeError, match="detection: no training sample shows an object of any class, so that there"):
        asked("detection", [row] * 3, [showing(4)], [showing(4)])
    asked("detection", [row, showing(4)], [row], [row])


@pytest.mark.parametrize(("objects", "value"), [(1, r" \(1\)"), (0, r" \(0\)")])
def test_one_number_is_no_question(objects: int, value: str) -> None:
    same = showing(*range(1, 1 + objects))
    with pytest.raises(ProbeError, match=f"counting: all 3 training samples have the same answer{value}"):
        asked("counting", [same] * 3, [showing(1, 2)], [showing(1, 2, 3)])
    asked("counting", [same, showing(1, 2)], [same], [same])


@pytest.mark.parametrize(
    ("name", "sides", "sizes"),
    [
        ("hallucination", ([YES, NO], [YES, NO], [YES, NO]), (2, 2, 2, 0)),
        ("classification", ([named("a"), named("bb")], [named("a")], [named("ccc"), named("dddd")]), (2, 1, 2, 2)),
        ("patch-class", ([showing(4), showing(9)], [showing()], [showing(9, 7)]), (3, 1, 3, 1)),
        ("patch-class", ([labelled(2, 1)], [labelled(1, 255)], [labelled(0, 1, 3)]), (2, 1, 3, 2)),
        ("detection", ([showing(4)], [showing(4, 5)], [showing(9), showing(4, crowd=True)]), (1, 2, 1, 1)),
    ],
)
def test_classes_of_each_side(name: str, sides: Any, sizes: tuple[int, ...]) -> None:
    _, counts = asked(name, *sides)
    assert counts is not None
    assert tuple(counts.sizes().values()) == sizes
    assert tuple(counts.sizes()) == ("train", "validation", "test", "not_in_training")


def test_tasks_without_classes_are_not_read() -> None:
    """Targets of pictures are made from pixels, of which there are too many for a pass of their own."""
    task = load("edges", sample())

    class Unread(dict[int, torch.Tensor]):
        def __getitem__(self, row: int) -> torch.Tensor:
            raise AssertionError(row)

    assert (
        require_question(
            "edges", task, Unread({0: torch.zeros(1)}), Split(train=(0,), validation=(), test=(), digest="")
        )
        is None
    )


def test_the_best_score_is_that_of_an_answer_that_is_right_wherever_it_can_be() -> None:
    """Against scikit-learn's scores of an answer that is right but for the classes that did not train."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 12, 500)
    known = [1, 2, 3, 5, 8, 11]
    counts = ClassCounts({"train": Counter(known), "validation": Counter(known), "test": Counter(truth.tolist())})
    answer = np.where(np.isin(truth, known), truth, 99)
    assert counts.best("accuracy") == pytest.approx(accuracy_score(truth, answer))
    every = sorted(set(truth.tolist()))
    assert counts.best("miou") == pytest.approx(jaccard_score(truth, answer, labels=every, average="macro"))


def test_what_training_lacks_is_said() -> None:
    names = ["a", "bb", "ccc", "dddd", "eeeee"]
    task, counts = asked("classification", list(map(named, names[:2])), [named("a")], list(map(named, names[1:])))
    assert counts is not None
    assert class_remarks("classification", task, counts) == [
        "classification: 3 of 4 classes of test samples (ccc, dddd, eeeee) occur in no training sample, so that "
        "accuracy can reach 0.250 at most"
    ]
    task, counts = asked("patch-class", [showing(4), showing(9)], [showing(4)], [showing(4), showing(12)])
    assert counts is not None
    (remark,) = class_remarks("patch-class", task, counts)
    assert remark.startswith("patch-class: 1 of 3 classes of test samples (kind 12) occur in no training sample")
    task, counts = asked("classification", list(map(named, names)), [named("a")], [named("a"), named("a")])
    assert counts is not None
    (remark,) = class_remarks("classification", task, counts)
    assert remark == "classification: all test samples have one class, a, of which a constant is right"


def test_a_command_refuses_it_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scenes.sample
    agreed = {"qa": {"hallucinated": False}}
    monkeypatch.setattr(scenes, "sample", lambda index: replace(whole(index), annotations=agreed))
    cache = scenes.write(tmp_path / "cache", 96)
    error = said("train-probe", cache.path, *WORDS, tmp_path / "runs", status=1)
    assert error.count("foresight: ") == 1
    assert "hallucination: the train split has one class alone, 'no', so that there is nothing to tell apart" in error
    assert not (tmp_path / "runs").exists()


def test_a_result_has_the_number_of_classes_on_each_side(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 96)
    assert foresight("train-probe", cache.path, *WORDS, tmp_path / "runs").returncode == 0
    (constant, *others) = load_results(tmp_path / "runs")
    expected = {"train": 2, "validation": 2, "test": 2, "not_in_training": 0}
    assert [own.split["classes"] for own in (constant, *others)] == [expected] * (1 + len(others))
