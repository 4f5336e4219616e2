"""Questions about drawn scenes: each answer once more from the boxes and the pixels, and what the words alone tell."""

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foresight_cache.datasets.synthetic import scene_questions, shapes
from foresight_cache.errors import UsageError
from foresight_cache.shards import read_shard
from tests.support.preparing import prepare

COUNT = 450
WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
Line = dict[str, Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene-questions")
    scene_questions.generate(folder, count=COUNT, seed=5)
    return folder


@pytest.fixture(scope="module")
def asked(root: Path) -> list[Line]:
    return [json.loads(line) for line in (root / "train.jsonl").read_text().splitlines()]


def truth(line: Line) -> bool:
    """The answer by the boxes and categories alone."""
    question = line["question"]
    boxes = {thing["category"]: thing["box"] for thing in line["objects"]}
    assert len(boxes) == len(line["objects"]), "a question says which object it means"
    if match := re.fullmatch(r"Is there a (\w+ \w+)\?", question):
        return match[1] in boxes
    if match := re.fullmatch(r"(?:Is|Are) there exactly (\w+) shapes?\?", question):
        return WORDS[match[1]] == len(boxes)
    if match := re.fullmatch(r"Is the (\w+ \w+) (left of|right of|above|below) the (\w+ \w+)\?", question):
        first, second = (np.add(boxes[match[n]][:2], boxes[match[n]][2:]) for n in (1, 3))
        across, down = first - second
        asked = across if match[2] in ("left of", "right of") else down
        assert abs(asked) == max(abs(across), abs(down)) > 0
        return bool(asked < 0) == (match[2] in ("left of", "above"))
    match = re.fullmatch(r"Is the (\w+) (\w+)\?", question)
    assert match, question
    (only,) = (name for name in boxes if name.split()[1] == match[1])
    return bool(only.split()[0] == match[2])


def test_answers_follow_from_the_boxes(asked: list[Line]) -> None:
    assert len(asked) == COUNT
    assert [line["references"] for line in asked] == [["yes" if truth(line) else "no"] for line in asked]
    types = {"presence": r"Is there a .*", "counting": ".* exactly .*", "relation": ".* (of|above|below) the .*"}
    for line in asked:
        kinds = [name for name, pattern in types.items() if re.fullmatch(pattern, line["question"])]
        assert kinds == ([] if line["type"] == "attribute" else [line["type"]])


def test_boxes_are_around_pixels_of_the_colour_that_they_say(root: Path, asked: list[Line]) -> None:
    for line in asked[::30]:
        pixels = np.asarray(Image.open(root / line["image"])).astype(int)
        for thing in line["objects"]:
            colour = np.array(shapes.COLOURS[thing["category"].split()[0]])
            towards = 0 if colour.mean() > 100 else 255
            tones = [colour, (colour * 0.55 + towards * 0.45).astype(np.uint8)]
            seen = np.any([(pixels == tone).all(-1) for tone in tones], axis=0)
            assert seen.sum() == thing["area"]
            rows, columns = np.nonzero(seen)
            assert thing["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert scene_questions.CATEGORIES[thing["category_id"] - 1] == thing["category"]


def test_neither_the_type_nor_the_words_tell_the_answer(asked: list[Line]) -> None:
    answers: dict[str, list[bool]] = defaultdict(list)
    for line in asked:
        yes = line["references"] == ["yes"]
        answers[line["type"]].append(yes)
        for word in ("exactly", "left", "right", "above", "below", "red", "circle"):
            if word in line["question"]:
                answers[word].append(yes)
    for name, given in answers.items():
        # Four standard errors of a fair coin, so that of these names one in a thousand seeds fails.
        assert len(given) > 15
        assert abs(np.mean(given) - 0.5) < 2 / np.sqrt(len(given)), name


def test_sources_differ_in_what_they_ask(asked: list[Line]) -> None:
    scenes = [asked[start : start + 3] for start in range(0, COUNT, 3)]
    for number, scene in enumerate(scenes):
        assert {line["source"] for line in scene} == {"drawn-b" if number % 2 else "drawn-a"}
        assert len({line["image"] for line in scene}) == 1
        assert len({line["type"] for line in scene}) == 3, "of different types"
    rates = {
        source: np.mean([line["type"] == "relation" for line in asked if line["source"] == source])
        for source in ("drawn-a", "drawn-b")
    }
    assert rates["drawn-b"] > 1.5 * rates["drawn-a"]


def test_they_are_prepared_with_questions_and_objects(tmp_path: Path, asked: list[Line]) -> None:
    summary = prepare("scene-questions", out=tmp_path / "S", limit=7, seed=5)
    samples = [sample for sample, _ in read_shard(summary.shards, 0)]
    assert [sample.annotations["qa"]["question"] for sample in samples] == [line["question"] for line in asked[:7]]
    assert [sample.annotations["objects"] for sample in samples] == [line["objects"] for line in asked[:7]]
    assert [sample.annotations["qa"]["source"] for sample in samples] == ["drawn-a"] * 3 + ["drawn-b"] * 3 + ["drawn-a"]
    assert [sample.group[-1] for sample in samples] == list("0001112"), "one group for each scene"
    assert summary.splits == {"train": 7}
    assert prepare("scene-questions", out=tmp_path / "T", limit=7, seed=5).shards.shards == summary.shards.shards


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    for count, seed in ((0, 0), (1, -1)):
        with pytest.raises(UsageError, match="the count is 1 or more, the seed 0 or more"):
            scene_questions.generate(tmp_path, count=count, seed=seed)
