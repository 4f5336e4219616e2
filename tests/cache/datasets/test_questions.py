"""Tables of questions: JSON lines and HaloQuest's CSV, line by line sound or broken."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.layouts import haloquest, qa_jsonl
from foresight_cache.errors import DatasetError

CUP = {"image": "images/cup.jpg", "question": "What is it?", "answer": "A cup.", "hallucinated": False}
HEADING = ("", "image_name", "url", "image type", "hallucination type", "question", "groundtruth responses", "split")


def lines(root: Path, *entries: Any) -> list[RawSample | BrokenSample]:
    text = "\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    (root / "test.jsonl").write_text(text)
    return list(qa_jsonl.Reader("mine", root).samples("test"))


def table(root: Path, *rows: tuple[str, ...], heading: tuple[str, ...] = HEADING) -> list[RawSample | BrokenSample]:
    with (root / "haloquest-eval.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *rows])
    return list(haloquest.Reader("haloquest", root).samples("eval"))


def test_questions_about_one_image_are_one_group(tmp_path: Path) -> None:
    second = {"image": "images/cup.jpg", "question": " Is it red? ", "references": ["no"], "type": "colour"}
    second["source"] = "pope"
    named = {**CUP, "image": "plate.png", "id": "the plate", "hallucinated": None}
    records = lines(tmp_path, CUP, "", second, named)
    samples = [record.sample for record in records if isinstance(record, RawSample)]
    assert [sample.id for sample in samples] == [
        "mine/test/images/cup-q0",
        "mine/test/images/cup-q1",
        "mine/test/the plate",
    ]
    assert [sample.group for sample in samples] == ["mine/images/cup"] * 2 + ["mine/plate"]
    assert [sample.annotations["qa"] for sample in samples[:2]] == [
        {"question": "What is it?", "answer": "A cup.", "hallucinated": False},
        {"question": "Is it red?", "answer": None, "hallucinated": None}
        | {"references": ["no"], "type": "colour", "source": "pope"},
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"image": ', "the line cannot be used: Expecting value"),
        ("[1]", "the line cannot be used: it is a JSON list, expected an object"),
        ("[" * 100_000, "the line cannot be used: maximum recursion"),
        ('"' + "x" * (1 << 20) + '"', "the line cannot be used: it has 1048579 bytes, expected at most 1048576"),
        ({**CUP, "qestion": ""}, "the line cannot be used: it has the key 'qestion'; keys: answer, hallucinated"),
        ({**CUP, "question": " "}, "its question is ' ', expected a text"),
        ({**CUP, "answer": 7}, "its answer is 7, expected a text or null"),
        ({**CUP, "hallucinated": "no"}, "its 'hallucinated' is 'no', expected true, false or null"),
        ({**CUP, "references": "a cup"}, "its references are 'a cup', expected a list of texts"),
        ({**CUP, "type": 1}, "its type is 1, expected a text"),
        ({**CUP, "source": ["pope"]}, "its source is ['pope'], expected a text"),
        ({**CUP, "id": 7}, "its id is 7, expected a text"),
        ({**CUP, "question": "{question}"}, "its question has the placeholder '{question}', which was to be replaced"),
        ({**CUP, "question": "Is there a {} here?"}, "its question has the placeholder '{}', which was to be replaced"),
        ({**CUP, "image": "../cup.jpg"}, "image '../cup.jpg' leaves the folder of the images, which is not followed"),
        ({**CUP, "image": "/etc/cup.jpg"}, "image '/etc/cup.jpg' leaves the folder of the images"),
        ({**CUP, "image": None}, "line 2 has image None, expected the name of a file"),
        ({**CUP, "id": "first"}, "its id 'first' is that of an earlier question; ids of a split must differ"),
    ],
)
def test_a_broken_line_is_named_and_the_others_stay(tmp_path: Path, line: Any, reason: str) -> None:
    first, broken, last = lines(tmp_path, {**CUP, "id": "first"}, line, CUP)
    assert isinstance(first, RawSample)
    assert isinstance(last, RawSample)
    assert isinstance(broken, BrokenSample)
    assert broken.id == "mine/test/line 2"
    assert broken.reason.startswith(reason)


def test_the_published_table_of_haloquest(tmp_path: Path) -> None:
    row = (
        "0",
        "a b.png",
        "https://x/a b.png",
        "generated",
        "false premises",
        "What hat?",
        "No hat; There is none;",
        "eval",
    )
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a b.png").write_bytes(b"")
    (record,) = table(tmp_path, row)
    assert isinstance(record, RawSample)
    assert (record.sample.id, record.sample.group) == ("haloquest/eval/a b-q0", "haloquest/a b")
    assert record.sample.file_name == "images/a b.png"
    assert record.sample.annotations["qa"] == {
        "question": "What hat?",
        "answer": None,
        "hallucinated": None,
        "references": ["No hat", "There is none"],
        "type": "false premises",
        "source": "haloquest",
    }


def test_graded_answers_may_be_added(tmp_path: Path) -> None:
    base = ("0", "a.png", "", "real", "", "What hat?", "None", "eval")
    graded = [
        (*base, answer, flag) for answer, flag in (("A red one", "True"), ("None", "0"), ("", ""), ("x", "maybe"))
    ]
    records = table(tmp_path, *graded, heading=(*HEADING, "answer", "hallucinated"))
    sound = [record.sample.annotations["qa"] for record in records if isinstance(record, RawSample)]
    assert [(qa["answer"], qa["hallucinated"]) for qa in sound] == [("A red one", True), ("None", False), (None, None)]
    (broken,) = (record for record in records if isinstance(record, BrokenSample))
    assert (broken.id, broken.reason) == (
        "haloquest/eval/row 4",
        "its 'hallucinated' is 'maybe', expected true, false or null",
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "0,b.png,u,real,t,Is it red, or blue?,red,eval",
            "its row has 9 columns, the heading has 8; quote fields that",
        ),
        ("0,b.png,u,real,t,Is it re", "its row has 6 columns, the heading has 8; quote fields that hold a comma"),
        ("0,b.png,u,real,t,Is it red?,red,eval,", "its row has 9 columns, the heading has 8; quote fields that hold"),
    ],
    ids=["a comma that is not quoted", "cut off", "a comma at the end"],
)
def test_a_row_of_another_length_is_not_read_askew(tmp_path: Path, row: str, reason: str) -> None:
    sound = '0,{}.png,u,real,t,"Is it red, or blue?",red,eval'
    text = "\n".join([",".join(HEADING), sound.format("a"), row, "", sound.format("c")])
    (tmp_path / "haloquest-eval.csv").write_text(text)
    first, broken, last = haloquest.Reader("haloquest", tmp_path).samples("eval")
    assert isinstance(broken, BrokenSample)
    assert (broken.id, broken.reason[: len(reason)]) == ("haloquest/eval/row 2", reason)
    for record in (first, last):
        assert isinstance(record, RawSample)
        assert record.sample.annotations["qa"]["question"] == "Is it red, or blue?"


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has several columns 'question'; which one is meant is unknown"):
        table(tmp_path, heading=(*HEADING, "question"))


def test_a_table_that_is_wrong_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no table of questions; expected ROOT/haloquest-<split>\.csv"):
        haloquest.Reader("haloquest", tmp_path).splits()
    with pytest.raises(DatasetError, match="has no column 'question'; expected image_name, hallucination type"):
        table(tmp_path, heading=("image_name", "hallucination type"))
    with pytest.raises(DatasetError, match=r"has no split 'test'; splits there: eval"):
        list(haloquest.Reader("haloquest", tmp_path).samples("test"))
    (tmp_path / "haloquest-eval.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="is not a table of comma-separated text: 'utf-8' codec"):
        list(haloquest.Reader("haloquest", tmp_path).samples("eval"))
    with pytest.raises(DatasetError, match=r"holds no \*\.jsonl; expected ROOT/<split>\.jsonl with one JSON object"):
        qa_jsonl.Reader("mine", tmp_path).splits()
