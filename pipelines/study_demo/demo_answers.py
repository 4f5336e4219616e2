"""Answers of the demo's tiny model to drawn questions, judged by rules, for studies of a model's answers."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.progress_bar import progress, say
from pipelines.study_demo.drawn_caches import MODEL, SIZE, drawn_dataset

if TYPE_CHECKING:
    from foresight_probes.studies.study import Study

CHOICES = ("yes", "no")
"""Answers of which the model says the one that is likelier to begin: its own words would be noise."""
RULES = "any"


def make_answers(study: "Study", out: Path) -> list[str]:
    """Lets the tiny model answer the questions of datasets whose answers a study asks about, and judges them.

    The shards are those of `make_caches`, in the same folder. Keeps what an earlier run has finished.

    Returns: places of judged answers as `joining.join` takes them, `<the study's name of a dataset>=<file>`.
    """
    from foresight_probes.studies.judged_answers import asked_datasets

    places = []
    for name in asked_datasets(study):
        shards, judged = out / "shards" / drawn_dataset(study, name), out / "answers" / f"{name}.jsonl"
        say(f"answers of {MODEL} to {name}, {' or '.join(CHOICES)} -> {judged}")
        _answer(shards, study.datasets[name].prompt or "{question}", out / "answers" / name)
        _judge(out / "answers" / name, judged)
        places.append(f"{name}={judged}")
    return places


def _answer(shards: Path, prompt: str, answers: Path) -> None:
    from foresight_cache.answers.answering import Answering, answer
    from foresight_cache.answers.options import AnswerOptions
    from foresight_cache.encoders import LoadOptions, load
    from foresight_cache.extraction.input_size import InputSize
    from foresight_cache.extraction.input_spec import InputSpec
    from foresight_cache.extraction.options import Execution
    from foresight_cache.shards import open_shards

    spec, options = InputSpec(size=InputSize.parse(str(SIZE))), AnswerOptions(choices=CHOICES)
    encoder = load(MODEL, LoadOptions(prompt=prompt))
    plan = Answering(open_shards(shards), encoder, spec, options, Execution(), answers)
    with progress("answers", plan.samples) as advance:
        answer(plan, advance)


def _judge(answers: Path, judged: Path) -> None:
    from foresight_cache.answer_lines import read_answers
    from foresight_cache.answers.judging.verdicts import by_rules
    from foresight_cache.json_lines import json_lines
    from foresight_cache.runtime.durable_files import write_file

    write_file(judged, json_lines(own.to_line() for own in by_rules(read_answers(answers), RULES)))
