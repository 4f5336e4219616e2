"""Answers of a frozen model to the questions of prepared shards, shard by shard."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.answers.answer_folder import AnswerFolder
from foresight_cache.answers.generation import Generated, Generator, failed
from foresight_cache.answers.options import AnswerOptions
from foresight_cache.answers.prompt_batches import Asked, Prompts, asked, prompts
from foresight_cache.encoders import Encoder
from foresight_cache.encoders.bases.language import LanguageEncoder
from foresight_cache.errors import ModelError, UsageError
from foresight_cache.extraction.cache_plan import fingerprint_of
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.inputs import Inputs
from foresight_cache.extraction.options import Execution
from foresight_cache.runtime.claims import Claim
from foresight_cache.runtime.pipelining import prefetch
from foresight_cache.runtime.progress import Advance, StageTimes, silent
from foresight_cache.runtime.shared_pieces import make_pieces
from foresight_cache.runtime.work_share import WHOLE, WorkShare
from foresight_cache.samples import Sample
from foresight_cache.shards import ShardSamples, ShardSet, open_shard

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Answering:
    """All that answering a set of questions needs to know.

    Raises `UsageError` for a model without a prompt, for frames that would be given one by one, and for a wrong size.
    """

    shards: ShardSet
    encoder: Encoder
    spec: InputSpec
    options: AnswerOptions
    execution: Execution
    out: Path

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, LanguageEncoder):
            raise UsageError(f"{self.encoder.family} has no prompt and gives no answers; name a vision-language model")
        if self.shards.media == "clip" and self.spec.clips_as == "images":
            raise UsageError("--clips-as images shows a frame at a time; a question needs video or prompt")
        if (size := self.inputs.spec.size.fixed) is not None:
            height, width = size
            self.encoder.grid("patch", 1, height, width)

    @cached_property
    def inputs(self) -> Inputs:
        return Inputs(self.encoder, self.spec, self.shards.media)

    @cached_property
    def generator(self) -> Generator:
        assert isinstance(self.encoder, LanguageEncoder)  # noqa: S101 - it was looked at
        return Generator(self.encoder, self.options)

    @cached_property
    def folder(self) -> AnswerFolder:
        own = fingerprint_of(self.inputs, self.execution.batch_tokens, self.shards.dataset, self.shards.manifest_digest)
        fingerprint = {**own, "generation": self.generator.identity()}
        return AnswerFolder(self.out, fingerprint, self.shards)

    @property
    def samples(self) -> int:
        """Number of questions that have no answer yet."""
        numbers = range(len(self.shards.shards))
        return sum(len(self.shards.shards[number].ids) for number in self.folder.missing(numbers))

    @property
    def _model(self) -> dict[str, Any]:
        own = self.folder.fingerprint["model"]
        return {name: own[name] for name in ("name", "weights_digest") if name in own}

    def line(self, sample: Sample, text: str | None, generated: Generated) -> dict[str, Any]:
        """Returns the line of a sample: its question, what is known of it, and the answer."""
        qa = sample.annotations.get("qa") or {}
        known = {name: qa.get(name) for name in ("question", "type", "source")}
        return {
            **{"id": sample.id, **known, "references": qa.get("references") or [], "prompt": text},
            **generated.to_json(),
            "model": {**self._model, "fingerprint": self.folder.digest},
        }


def answer(
    plan: Answering, advance: Advance = silent, times: StageTimes | None = None, share: WorkShare = WHOLE
) -> None:
    """Writes the answers that are missing; a second run goes on where the first one stopped.

    Any number of processes may do so at once, as with `extract`. A sample that cannot be asked has a line that says
    why. Raises what `AnswerFolder.create` raises, `ShardError`, and `ModelError` where the memory does not hold one
    prompt. SIGINT and `STOP_SIGNALS` end it with `KeyboardInterrupt` after the current batch.
    """
    plan.folder.create()
    measured = times or StageTimes()

    def make(number: int, _: Claim, check: Callable[[], None]) -> None:
        _answer_shard(plan, number, advance, measured, check)

    numbers = share.order(range(len(plan.shards.shards)))
    make_pieces(plan.folder, numbers, make, waits=share.waits, place=str(plan.out))


def _answer_shard(plan: Answering, number: int, advance: Advance, times: StageTimes, check: Callable[[], None]) -> None:
    content = open_shard(plan.shards, number)
    lines: dict[int, dict[str, Any]] = {}
    for found in _answered(plan, content, times, check):
        lines |= found
        advance(len(found), 0)
    with times.measured("writing"):
        size = plan.folder.commit(number, [lines[position] for position in sorted(lines)])
    advance(0, size)


def _answered(
    plan: Answering, content: ShardSamples, times: StageTimes, check: Callable[[], None]
) -> Iterator[dict[int, dict[str, Any]]]:
    """Yields the lines of a shard by position, batch by batch."""
    assert isinstance(plan.encoder, LanguageEncoder)  # noqa: S101 - it was looked at
    questions = asked(plan.inputs, plan.encoder, content.samples, plan.execution.batch_tokens)

    def lines(generated: Mapping[int, Generated]) -> dict[int, dict[str, Any]]:
        return {
            position: plan.line(content.samples[position], questions.texts.get(position), made)
            for position, made in generated.items()
        }

    yield lines({position: failed(reason) for position, reason in questions.failures.items()})
    ready = prefetch(questions.batches, partial(_prompts, plan, content, questions), threads=plan.execution.workers)
    with closing(ready):
        for made in times.waiting("input", ready):
            with times.measured("model"):
                found = {position: failed(reason) for position, reason in made.failures.items()}
                for positions, model_inputs in made.batches:
                    found |= dict(zip(positions, _generated(plan.generator, model_inputs), strict=True))
            yield lines(found)
            check()


def _prompts(plan: Answering, content: ShardSamples, questions: Asked, batch: Sequence[int]) -> Prompts:
    return prompts(plan.inputs, content, questions, batch)


def _generated(generator: Generator, model_inputs: "Mapping[str, torch.Tensor]") -> list[Generated]:
    import torch

    try:
        return generator.answers(model_inputs)
    except torch.OutOfMemoryError:
        count = len(model_inputs["input_ids"])
        raise ModelError(
            f"the memory of the device does not hold {count} prompts at once; use a smaller --batch-tokens, --size or "
            "--max-new-tokens"
        ) from None
