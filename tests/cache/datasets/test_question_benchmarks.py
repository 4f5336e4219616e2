"""POPE, AMBER, HallusionBench and MathVista in the layouts of their owners' repositories, whole and damaged."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foresight_cache import datasets
from foresight_cache.answers.judging.rules import BENCHMARKS, form_of
from foresight_cache.datasets import BrokenSample, RawSample, RemarkingReader
from foresight_cache.errors import DatasetError
from foresight_cache.samples import Sample
from foresight_cache.shards import read_shard
from tests.support.command import foresight
from tests.support.preparing import ids, prepare, refusal

DINING, CAR = "COCO_val2014_000000548882.jpg", "COCO_val2014_000000393254.jpg"
POPE = [
    {"question_id": 0, "image": DINING, "image_id": 548882, "text": "Is there a table in the image?", "label": "yes"},
    {"question_id": 1, "image": DINING, "image_id": 548882, "text": "Is there a tv in the image?", "label": "no"},
    {"question_id": 2, "image": CAR, "image_id": 393254, "text": "Is there a car in the image?", "label": "yes"},
]
AMBER = [
    {"id": 1005, "image": "AMBER_1.jpg", "query": "Is the sky sunny in this image?"},
    {"id": 1006, "image": "AMBER_1.jpg", "query": "Is there a cloud in this image?"},
    {"id": 15219, "image": "AMBER_2.jpg", "query": "Is there direct contact between the man and cup?"},
    {"id": 15220, "image": "AMBER_2.jpg", "query": "Is there direct contact between the cup and wall?"},
]
AMBER_ANSWERS = [
    {"id": 1, "type": "generative", "truth": ["sky", "forest"], "hallu": ["cloud"]},
    {"id": 1005, "type": "discriminative-attribute-state", "truth": "yes"},
    {"id": 1006, "type": "discriminative-hallucination", "truth": "no"},
    {"id": 15219, "type": "discriminative-relation", "truth": "yes"},
    {"id": 15220, "type": "relation", "truth": "no"},
]


def figure(category: str, visual: str, number: str, question: str, answer: str, file: str | None) -> dict[str, Any]:
    return {
        **{"category": category, "subcategory": "chart", "visual_input": visual, "set_id": "0", "figure_id": number},
        **{"sample_note": "import", "question_id": question, "question": "Is it Switzerland?"},
        **{"gt_answer_details": "It is Switzerland.", "gt_answer": answer, "filename": file},
    }


FIGURES = [
    figure("VS", "0", "0", "0", "1", None),
    figure("VS", "1", "1", "0", "1", "./VS/chart/0_1.png"),
    figure("VS", "2", "2", "0", "0", "./VS/chart/0_2.png"),
    figure("VD", "1", "0", "0", "2", "./VD/chart/0_0.png"),
]


def problem(pid: str, question: str, answer: str, kind: str, form: str, **more: Any) -> dict[str, Any]:
    return {
        **{"question": question, "image": f"images/{pid}.jpg", "choices": None, "unit": None, "precision": None},
        **{"answer": answer, "question_type": kind, "answer_type": form, "pid": pid},
        **{"metadata": {"split": "testmini", "source": "TextVQA", "skills": ["arithmetic reasoning"]}, **more},
    }


PROBLEMS = {
    "2": problem("2", "what is the total volume of the measuring cup?", "1000", "free_form", "integer", unit="g"),
    "3": problem("3", "∠BOC＝（）", "145°", "multi_choice", "text", choices=["135°", "140°", "145°", "150°"]),
    "10": problem("10", "Which object comes next?", "E", "multi_choice", "text", choices=["A", "B", "C", "D", "E"]),
}


@dataclass(frozen=True)
class Written:
    """A benchmark as it lies in a folder: its files of questions as JSON values, and its images."""

    files: Mapping[str, Any]
    images: tuple[str, ...]
    questions: str
    """The file of questions that is damaged."""
    split: str
    lines: bool = False
    """True where each question is a line of its own."""


SETS = {
    "pope": Written(
        {f"output/coco/coco_pope_{split}.json": POPE for split in ("random", "popular", "adversarial")},
        (f"val2014/{DINING}", f"val2014/{CAR}"),
        "output/coco/coco_pope_random.json",
        "random",
        lines=True,
    ),
    "amber": Written(
        {"data/query/query_discriminative.json": AMBER, "data/annotations.json": AMBER_ANSWERS},
        ("images/AMBER_1.jpg", "images/AMBER_2.jpg"),
        "data/query/query_discriminative.json",
        "test",
    ),
    "hallusionbench": Written(
        {"HallusionBench.json": FIGURES},
        ("hallusion_bench/VS/chart/0_1.png", "hallusion_bench/VS/chart/0_2.png", "hallusion_bench/VD/chart/0_0.png"),
        "HallusionBench.json",
        "test",
    ),
    "mathvista": Written(
        {"data/testmini.json": PROBLEMS},
        tuple(f"data/images/{pid}.jpg" for pid in PROBLEMS),
        "data/testmini.json",
        "testmini",
    ),
}


def put(root: Path, name: str, document: Any, *, lines: bool) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = document if isinstance(document, str) else json.dumps(document)
    path.write_text("".join(f"{json.dumps(entry)}\n" for entry in document) if lines else whole)


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(name: str) -> Path:
        for file, document in SETS[name].files.items():
            put(tmp_path / "raw", file, document, lines=SETS[name].lines)
        for number, image in enumerate(SETS[name].images):
            path = tmp_path / "raw" / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32 + number, 32), (40 * number, 90, 20)).save(path)
        return tmp_path / "raw"

    return write


def packed(name: str, root: Path) -> dict[str, Sample]:
    """Returns what the tars of a prepared set hold, by id. Its three or four questions are a part of the set."""
    summary = prepare(name, root=root, out=root.parent / "S", partial=True)
    return {
        sample.id: sample
        for number in range(len(summary.shards.shards))
        for sample, _ in read_shard(summary.shards, number)
    }


def qa(sample: Sample) -> tuple[Any, ...]:
    annotation = sample.annotations["qa"]
    assert annotation.keys() == {"question", "answer", "hallucinated", "references", "type", "source"}
    assert annotation["answer"] is annotation["hallucinated"] is None
    return tuple(annotation[key] for key in ("question", "references", "type", "source"))


def test_pope_has_three_splits_about_the_same_images(written: Callable[[str], Path]) -> None:
    samples = packed("pope", written("pope"))
    assert [*samples] == [f"pope/{split}/{n}" for split in ("random", "popular", "adversarial") for n in range(3)]
    assert {sample.group for sample in samples.values()} == {f"pope/{DINING[:-4]}", f"pope/{CAR[:-4]}"}
    assert [qa(samples[f"pope/{split}/1"]) for split in ("random", "popular")] == [
        ("Is there a tv in the image?", ["no"], "random", "pope"),
        ("Is there a tv in the image?", ["no"], "popular", "pope"),
    ]
    assert samples["pope/random/2"].file_name == f"val2014/{CAR}"


def test_pope_in_one_folder(tmp_path: Path) -> None:
    put(tmp_path, "coco_pope_popular.json", POPE, lines=True)
    reader = datasets.reader("pope")("pope", tmp_path)
    assert reader.splits() == ("popular",)
    assert all(isinstance(listed, RawSample) for listed in reader.samples("popular"))


def test_ambers_type_does_not_tell_the_answer(written: Callable[[str], Path]) -> None:
    samples = packed("amber", written("amber"))
    assert [*samples] == [f"amber/test/{number}" for number in (1005, 1006, 15219, 15220)]
    assert [sample.group for sample in samples.values()] == ["amber/AMBER_1"] * 2 + ["amber/AMBER_2"] * 2
    assert [qa(sample)[1:] for sample in samples.values()] == [
        (["yes"], "discriminative-attribute-state", "amber"),
        (["no"], "discriminative-hallucination", "amber"),
        (["yes"], "discriminative-relation", "amber"),
        (["no"], "discriminative-relation", "amber"),
    ]
    assert qa(samples["amber/test/15219"])[0] == "Is there direct contact between the man and cup?"


def test_hallusionbench_leaves_out_what_has_no_figure_and_says_how_many(written: Callable[[str], Path]) -> None:
    root = written("hallusionbench")
    samples = packed("hallusionbench", root)
    assert [*samples] == [
        f"hallusionbench/test/{name}" for name in ("VS_chart_0_1_0", "VS_chart_0_2_0", "VD_chart_0_0_0")
    ]
    groups = [sample.group for sample in samples.values()]
    assert groups == ["hallusionbench/VS/chart/0"] * 2 + ["hallusionbench/VD/chart/0"]
    assert [qa(sample) for sample in samples.values()] == [
        ("Is it Switzerland?", [answer], kind, "hallusionbench")
        for answer, kind in (("yes", "VS/chart"), ("no", "VS/chart"), ("uncertain", "VD/chart"))
    ]
    reader = datasets.reader("hallusionbench")("hallusionbench", root)
    assert isinstance(reader, RemarkingReader)
    assert reader.remarks() == ()
    for _ in range(2):  # counted anew each time
        assert len(list(reader.samples("test"))) == 3
        assert reader.remarks() == ("1 of 4 questions are left out, as they have no figure (visual_input 0)",)


def test_mathvistas_questions_have_their_unit_and_their_choices(written: Callable[[str], Path]) -> None:
    samples = packed("mathvista", written("mathvista"))
    assert [*samples] == ["mathvista/testmini/2", "mathvista/testmini/3", "mathvista/testmini/10"]
    assert [qa(sample) for sample in samples.values()] == [
        ("what is the total volume of the measuring cup? (Unit: g)", ["1000"], "free_form/integer", "mathvista"),
        (
            "∠BOC＝（）\nChoices:\n(A) 135°\n(B) 140°\n(C) 145°\n(D) 150°",
            ["145°", "C"],
            "multi_choice/text",
            "mathvista",
        ),
        (
            "Which object comes next?\nChoices:\n(A) A\n(B) B\n(C) C\n(D) D\n(E) E",
            ["E"],
            "multi_choice/text",
            "mathvista",
        ),
    ]
    assert samples["mathvista/testmini/3"].group == "mathvista/images/3"


@pytest.mark.parametrize("name", SETS)
def test_the_judge_knows_the_benchmark_and_the_form_of_its_answers(name: str, written: Callable[[str], Path]) -> None:
    listed = list(datasets.reader(name)(name, written(name)).samples(SETS[name].split))
    annotations = [each.sample.annotations["qa"] for each in listed if isinstance(each, RawSample)]
    assert {annotation["source"] for annotation in annotations} == {name} <= BENCHMARKS.keys()
    forms = [form_of(annotation["references"], name) for annotation in annotations]
    expected = {"hallusionbench": ["yes or no", "yes or no", None], "mathvista": ["number", "letter", "letter"]}
    assert forms == expected.get(name, ["yes or no"] * len(annotations))


def _changed(**change: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda entry: {key: value for key, value in {**entry, **change}.items() if value is not ...}


WHERE = {"pope": "line 2", "amber": "entry 2", "hallusionbench": "entry 2", "mathvista": "problem 3"}
"""What the second question of each set is called where it cannot be used."""
DAMAGES: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("pope", _changed(question_id=...), "its key 'question_id' is missing; POPE's questions have question_id, image"),
    ("pope", _changed(question_id=None), "its 'question_id' is None, expected a number or a text"),
    ("pope", _changed(question_id=0), "its id '0' is that of an earlier question; ids of a split must differ"),
    ("pope", _changed(text=" "), "its question is ' ', expected a text"),
    ("pope", _changed(text="Is there a {} in the image?"), "its question has the placeholder '{}', which was to be"),
    ("pope", _changed(label="maybe"), "its 'label' is 'maybe', expected 'yes' or 'no'"),
    ("pope", _changed(label=True), "its 'label' is True, expected 'yes' or 'no'"),
    ("pope", _changed(image=None), "line 2 has image None, expected the name of a file"),
    ("pope", _changed(image="../a.jpg"), "image '../a.jpg' leaves the folder of the images, which is not followed"),
    ("pope", lambda _: [1], "the line cannot be used: it is a JSON list, expected an object"),
    ("amber", _changed(id=...), "its key 'id' is missing; AMBER's questions have id, image, query"),
    ("amber", _changed(id=7), "its id 7 has no answer in annotations.json"),
    ("amber", _changed(id=1), "its type in annotations.json is 'generative', expected one that begins with"),
    ("amber", _changed(id=1005), "its id '1005' is that of an earlier question; ids of a split must differ"),
    ("amber", _changed(query=""), "its question is '', expected a text"),
    ("amber", _changed(image=3), "entry 2 has image 3, expected the name of a file"),
    ("amber", lambda _: "x", "it is a JSON str, expected an object"),
    ("hallusionbench", _changed(filename=None), "entry 2 has image None, expected the name of a file"),
    ("hallusionbench", _changed(gt_answer="3"), "its 'gt_answer' is '3', expected '0' or '1' or '2'"),
    ("hallusionbench", _changed(set_id=[0]), "its 'set_id' is [0], expected a number or a text"),
    ("hallusionbench", _changed(category=...), "its key 'category' is missing; HallusionBench's questions have"),
    ("hallusionbench", _changed(question=None), "its question is None, expected a text"),
    ("mathvista", _changed(pid="4"), "its 'pid' is '4', expected '3', under which it stands"),
    ("mathvista", _changed(pid=...), "its key 'pid' is missing; MathVista's questions have pid, question, image"),
    ("mathvista", _changed(question=""), "its 'question' is '', expected a text"),
    ("mathvista", _changed(question_type="essay"), "its 'question_type' is 'essay', expected 'multi_choice' or"),
    ("mathvista", _changed(choices=None), "its 'choices' are None, expected a list of texts, 1 to 26"),
    ("mathvista", _changed(answer="99°"), "its answer '99\\xb0' is none of its choices, expected one of them"),
    ("mathvista", _changed(answer=""), "its 'answer' is '', expected a text"),
    ("mathvista", _changed(unit=7), "its 'unit' is 7, expected a text or null"),
    ("mathvista", _changed(image=None), "problem 3 has image None, expected the name of a file"),
]


@pytest.mark.parametrize(("name", "damage", "reason"), DAMAGES)
def test_one_broken_question_is_named_and_the_others_stay(
    name: str, damage: Callable[[dict[str, Any]], Any], reason: str, written: Callable[[str], Path]
) -> None:
    root, about = written(name), SETS[name]
    before = list(datasets.reader(name)(name, root).samples(about.split))
    document: Any = about.files[about.questions]
    second = "3" if isinstance(document, dict) else 1
    changed = dict(document) if isinstance(document, dict) else list(document)
    changed[second] = damage(changed[second])
    put(root, about.questions, changed, lines=about.lines)
    after = list(datasets.reader(name)(name, root).samples(about.split))
    (broken,) = (listed for listed in after if isinstance(listed, BrokenSample))
    assert broken.reason.startswith(reason)
    assert broken.id == f"{name}/{about.split}/{WHERE[name]}"
    others = [listed for listed in before if listed is not before[0 if name == "hallusionbench" else 1]]
    assert [listed for listed in after if listed is not broken] == others


@pytest.mark.parametrize(
    ("name", "title", "others"),
    [
        ("pope", "POPE", [AMBER, PROBLEMS, [], FIGURES]),
        ("amber", "AMBER", [POPE, PROBLEMS, [], FIGURES]),
        ("hallusionbench", "HallusionBench", [AMBER, PROBLEMS, []]),
        ("mathvista", "MathVista", [AMBER, {"1": POPE[0]}, {}]),
    ],
)
def test_questions_of_another_benchmark(
    name: str, title: str, others: list[Any], written: Callable[[str], Path]
) -> None:
    root, about = written(name), SETS[name]
    for document in others:
        put(root, about.questions, document, lines=about.lines and isinstance(document, list))
        with pytest.raises(DatasetError, match=rf"is no file of {title}'s questions: (none of its|it is a JSON)"):
            list(datasets.reader(name)(name, root).samples(about.split))


def test_questions_of_another_benchmark_in_full(written: Callable[[str], Path]) -> None:
    root = written("pope")
    put(root, "output/coco/coco_pope_random.json", AMBER, lines=True)
    assert refusal(DatasetError, dataset="pope", root=root, out=root.parent / "S") == (
        f"{root}/output/coco/coco_pope_random.json is no file of POPE's questions: none of its 4 entries has the keys "
        "question_id, image, text, label; get it from the owners again"
    )


@pytest.mark.parametrize(
    ("name", "file", "text", "says"),
    [
        ("amber", "data/annotations.json", '[{"id": 1005}, {"id": 1005}]', "has the id 1005 twice; which answer is"),
        ("amber", "data/annotations.json", '[{"id": "1005"}]', "entry 1 of .* has no 'id' that is a number; get"),
        ("amber", "data/annotations.json", "{}", "it is a JSON dict, expected a list of questions"),
        ("amber", "data/annotations.json", "[", "annotations.json is not JSON: Expecting value.*; get the annotation"),
        ("hallusionbench", "HallusionBench.json", "[{", "HallusionBench.json is not JSON: Expecting property"),
        ("mathvista", "data/testmini.json", '{"1": {}, "1": {}}', "is not JSON: the key '1' is there twice; get the"),
        ("mathvista", "data/testmini.json", "[]", "it is a JSON list, expected an object of problems"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole(
    name: str, file: str, text: str, says: str, written: Callable[[str], Path]
) -> None:
    root = written(name)
    put(root, file, text, lines=False)
    with pytest.raises(DatasetError, match=says):
        list(datasets.reader(name)(name, root).samples(SETS[name].split))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "pope",
            r"holds no coco_pope_<split>\.json; expected ROOT/output/coco/coco_pope_<split>\.json, or these files",
        ),
        ("amber", r"holds no query_discriminative\.json; expected ROOT/data/query/query_discriminative\.json and ROOT"),
        (
            "hallusionbench",
            r"holds no HallusionBench\.json; expected ROOT/HallusionBench\.json, with the figures below",
        ),
        (
            "mathvista",
            r"holds no testmini\.json; expected ROOT/data/testmini\.json with the images in ROOT/data/images",
        ),
    ],
)
def test_a_folder_without_questions(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=says):
        datasets.reader(name)(name, tmp_path).splits()
    with pytest.raises(DatasetError, match=r"there is no folder .*; expected ROOT"):
        datasets.reader(name)(name, tmp_path / "absent").splits()


def test_ambers_questions_without_their_answers(written: Callable[[str], Path]) -> None:
    root = written("amber")
    (root / "data" / "annotations.json").unlink()
    with pytest.raises(DatasetError, match=r"there is no .*annotations\.json, which has the answers to query_discrim"):
        list(datasets.reader("amber")("amber", root).samples("test"))


def test_less_than_was_published_is_no_whole_set(written: Callable[[str], Path]) -> None:
    root = written("pope")
    message = refusal(DatasetError, dataset="pope", root=root, out=root.parent / "S")
    assert "3,000" in message
    assert "random" in message


def test_a_question_whose_image_is_not_there_is_in_quarantine(written: Callable[[str], Path]) -> None:
    root = written("hallusionbench")
    (root / "hallusion_bench/VS/chart/0_1.png").unlink()
    summary = prepare("hallusionbench", root=root, out=root.parent / "S", max_bad=0.5)
    assert ids(summary) == ["hallusionbench/test/VS_chart_0_2_0", "hallusionbench/test/VD_chart_0_0_0"]
    (bad,) = summary.shards.quarantined
    assert (bad.id, "No such file" in bad.reason) == ("hallusionbench/test/VS_chart_0_1_0", True)


def test_the_command_tells_what_was_left_out(written: Callable[[str], Path]) -> None:
    root = written("hallusionbench")
    run = foresight("prepare", "hallusionbench", "--root", root, "--out", root.parent / "S")
    assert run.returncode == 0, run.stderr
    assert "1 of 4 questions are left out, as they have no figure (visual_input 0)" in run.stdout + run.stderr


def test_mme_goes_through_lines_of_ones_own(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    root.mkdir()
    Image.new("RGB", (32, 32)).save(root / "a.png")
    asked = {"image": "a.png", "question": "Is it red?", "references": ["no"], "type": "colour", "source": "mme"}
    put(root, "test.jsonl", [asked, {**asked, "question": "Is it black?", "references": ["yes"]}], lines=True)
    samples = packed("mme", root)
    assert [*samples] == ["mme/test/a-q0", "mme/test/a-q1"]
    assert [qa(sample) for sample in samples.values()] == [
        ("Is it red?", ["no"], "colour", "mme"),
        ("Is it black?", ["yes"], "colour", "mme"),
    ]
