"""Judged answers given to a study: whose they are, what is said without any, and caches of questions alone."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from foresight_cache.errors import AnswersError, ManifestError, UsageError
from foresight_probes.studies.joining import commands_for, join
from foresight_probes.studies.judged_answers import label_of
from foresight_probes.studies.parsing import parse_study
from foresight_probes.studies.planning import Settings, plan_study
from pipelines import studies
from tests.support.command import said
from tests.support.planted_question_caches import QUERY, VISION, World, judged, questions, write

WORLD = World(images=30, undecided=0.2)
ASKED = questions(WORLD)
TEXT = (Path(studies.__file__).parent / "halp.yaml").read_text()


def test_answers_are_joined_to_a_cache_and_to_its_variants(tmp_path: Path) -> None:
    write(tmp_path / "q", ASKED)
    write(tmp_path / "blank", ASKED, blank="grey")
    write(tmp_path / "wordless", ASKED, prompt="")
    answers = judged(tmp_path / "judged.jsonl", ASKED)
    for place in (str(answers), f"questions={answers}"):
        places = [str(tmp_path / name) for name in ("wordless", "blank", "q")]
        joined = join(studies.load("halp"), places, answers=[place])
        names = ("questions", "questions.question-alone", "questions.image-alone")
        assert {name: Path(joined.caches[name].path).name for name in names} == {
            "questions": "q",
            "questions.question-alone": "blank",
            "questions.image-alone": "wordless",
        }
        for cache in joined.caches.values():
            labels = {row["id"]: label_of(row) for row in cache.rows}
            assert labels == {own.line["id"]: own.line["hallucinated"] for own in ASKED}
    assert None in labels.values()


def test_a_cache_that_saw_no_words_is_told_where_questions_are_meant(tmp_path: Path) -> None:
    write(tmp_path / "wordless", ASKED, prompt="")
    joined = join(studies.load("halp"), [str(tmp_path / "wordless")])
    assert any(
        "with the prompt '', where the study means the same model at 448x448, with the prompt" in text
        for text in joined.remarks
    )


def test_without_labels_one_sentence_tells_how_they_are_made(tmp_path: Path) -> None:
    write(tmp_path / "q", ASKED)
    study = studies.load("halp")
    with pytest.raises(UsageError) as raised:
        plan_study(study, join(study, [str(tmp_path / "q")]), tmp_path / "out", Settings())
    text = str(raised.value)
    assert f"no sample of {tmp_path / 'q'} says whether an answer to it was hallucinated" in text
    assert 'foresight answers shards/haloquest-eval --model Qwen/Qwen2.5-VL-7B-Instruct --prompt "{question}"' in text
    assert "foresight judge answers --rules haloquest --out judged.jsonl" in text
    assert text.endswith("then add --answers judged.jsonl")
    assert "\n" not in text


def test_labels_of_the_cache_itself_will_do(tmp_path: Path) -> None:
    write(tmp_path / "q", ASKED, labelled=True)
    study = studies.load("halp")
    study = replace(study, runs={"detectors": study.runs["detectors"]})
    plan = plan_study(study, join(study, [str(tmp_path / "q")]), tmp_path / "out", Settings())
    assert "detectors" in plan.sweeps


def test_wrong_answers_are_one_sentence(tmp_path: Path) -> None:
    write(tmp_path / "q", ASKED)
    answers = judged(tmp_path / "judged.jsonl", ASKED)
    study, places = studies.load("halp"), [str(tmp_path / "q")]
    with pytest.raises(UsageError, match="second answers of 'questions'"):
        join(study, places, answers=[str(answers), f"questions={answers}"])
    with pytest.raises(UsageError, match="the study q2 asks about no answers of a model; leave out --answers"):
        join(studies.load("q2"), [], answers=[str(answers)])
    others = tmp_path / "others.jsonl"
    others.write_text(json.dumps({"id": "elsewhere", "answer": "yes"}) + "\n")
    with pytest.raises(AnswersError, match="is of another dataset"):
        join(study, places, answers=[str(others)])
    assert "--demo makes caches of its own, so that --answers does not go with it" in said(
        "study", "halp", "--demo", "--answers", answers, "--out", tmp_path / "o", status=2
    )


def test_commands_for_missing_caches_say_what_the_model_sees() -> None:
    study = studies.load("halp")
    made = {name: commands_for(study, name, ["halp"]) for name in study.datasets}
    assert "--points 'halp' --size 448 --prompt '{question}' --out caches/haloquest-eval" in made["questions"]
    assert (
        "--prompt '{question}' --blank-image grey --out caches/haloquest-eval-question-alone"
        in made["questions.question-alone"]
    )
    assert "--prompt '' --out caches/haloquest-eval-image-alone" in made["questions.image-alone"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{blank: grey}", "{blank: white}", "unknown image 'white'"),
        ("{blank: grey}", "{}", "expected what differs: size, model, merged, prompt or blank"),
        ('+E8@last_query"', '+E9@last_query"', "unknown point 'E9@last_query'"),
        ("vit.pre_merge@mean+E8@last_query", "vit.*@mean+E8@last_query", "joins the pattern 'vit.\\*@mean'"),
        ("metric: within_type_auroc", "metric: within_type_auroc2", "did you mean 'within_type_auroc'"),
        ("types: [counting, Number, number]", "types: 3", "types"),
    ],
)
def test_mistakes_in_the_file_are_named(old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(ManifestError, match=words):
        parse_study(TEXT.replace(old, new, 1), "mine.yaml")


def test_points_that_are_taken_together_are_named_as_the_cache_has_them(tmp_path: Path) -> None:
    from foresight_probes.studies.named_points import cached_points, lacking_points, named_points

    cache = write(tmp_path / "q", ASKED[:4])
    fused = f"{VISION}+{QUERY}"
    assert named_points("vit.pre_merge@mean + E8@last_query", cache) == (fused,)
    assert named_points("vit.pre_merge@mean+E8@last_nothing", cache) == ()
    names = [QUERY, fused, VISION, f"{VISION}+llm.layer_01@last_query"]
    assert cached_points(names, cache) == (VISION, QUERY, fused)
    assert lacking_points([f"{VISION}+E6@last_query"], cache) == ("llm.layer_01@last_query",)
