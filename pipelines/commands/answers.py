from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foresight_cache.answers.options import AnswerOptions, AskOptions
from foresight_cache.errors import DatasetError
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution
from foresight_cache.runtime.work_share import Part, WorkShare
from pipelines.commands import options as parameters
from pipelines.commands.options import Json, MaxBad, Model, Shards
from pipelines.options_to_parameters import with_flags

if TYPE_CHECKING:
    from foresight_cache.answer_lines import Answer
    from foresight_cache.answers.answering import Answering

Out = Annotated[Path, typer.Option(help="Folder for the answers, new or to be continued.", metavar="ANSWERS")]


@with_flags
def run(
    shards: Shards,
    model: Model,
    out: Out,
    answering: AnswerOptions,
    inputs: InputSpec,
    loading: AskOptions,
    execution: Execution,
    max_bad: MaxBad = 0.0,
    part: parameters.Part = None,
    no_wait: parameters.NoWait = False,
    json_output: Json = False,
) -> None:
    """Let the frozen model answer the question of each sample, greedily, and keep how sure it was.

    A line of JSON for each sample: the answer, its first token's log-probabilities (of yes, of no, the top 20), the
    mean log-probability and entropy, whether the limit of tokens cut it, the model. Prompts of one length go together,
    so that no padding changes a number. Each shard is written whole, and the same command goes on where it stopped.
    Then 'foresight judge' says which answers are right.

    Example: foresight answers shards/pope --model tiny:qwen2_5_vl --prompt "{question}" --out answers/pope
    """
    from foresight_cache.answer_lines import read_answers
    from foresight_cache.answers.answering import answer
    from foresight_cache.runtime.progress import StageTimes
    from foresight_cache.runtime.schedulers import begin_of, take_own_gpus
    from pipelines.output import print_json
    from pipelines.progress_bar import progress

    share = WorkShare(part=Part.parse(part) if part else Part(1, 1), begin=begin_of(), waits=not no_wait)
    take_own_gpus(loading.device)
    times = StageTimes()
    with progress("load", None):
        plan = _plan(shards, model, inputs, loading, execution, answering, out)
    with progress("answers", plan.samples, times=times) as advance:
        answer(plan, advance, times, share)
    if left := plan.samples:  # of other parts
        print_json({"left": left}) if json_output else print(f"{left} questions of other parts have no answer yet")
        return
    answers = read_answers(out)
    found = _counts(answers)
    print_json(found) if json_output else print("\n".join(f"{name:12} {value}" for name, value in found.items()))
    _check_share_of_failed(answers, max_bad, out)


def _plan(
    shards: Path,
    model: str,
    inputs: InputSpec,
    loading: AskOptions,
    execution: Execution,
    answering: AnswerOptions,
    out: Path,
) -> "Answering":
    from foresight_cache.answers.answering import Answering
    from foresight_cache.encoders import describe, load
    from foresight_cache.shards import open_shards

    shard_set = open_shards(shards)
    Answering(shard_set, describe(model, loading), inputs, answering, execution, out)  # before the weights
    return Answering(shard_set, load(model, loading), inputs, answering, execution, out)


def _counts(answers: "list[Answer]") -> dict[str, Any]:
    model = answers[0].fields["model"]
    return {
        "model": model["name"],
        "fingerprint": model["fingerprint"],
        "answers": sum(own.answer is not None for own in answers),
        "failed": sum(own.answer is None for own in answers),
        "cut": sum(own.cut for own in answers),
    }


def _check_share_of_failed(answers: "list[Answer]", allowed: float, out: Path) -> None:
    failures = [own.fields["failure"] for own in answers if own.answer is None]
    if len(failures) > allowed * len(answers) or len(failures) == len(answers):
        told = f"{len(failures)} of {len(answers)} samples have no answer in {out}, the first because {failures[0]}"
        if len(failures) == len(answers):
            raise DatasetError(f"{told}; nothing can be made of them")
        raise DatasetError(f"{told}; the others have one; accept it with --max-bad {len(failures) / len(answers):.2g}")
