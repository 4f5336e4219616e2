"""Planted caches of judged questions: what the category tells of a label, and what features and the answer do."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foresight_cache.format.commits import SampleRow
from foresight_cache.format.layout import CacheLayout, PointLayout, ShardSource
from foresight_cache.reader import Cache, open_cache
from foresight_cache.samples import Grid, Sample
from foresight_cache.writer import CacheWriter

TAPS = ("vit.patch_embed", "vit.pre_merge", "vit.post_merge", "llm.layer_01", "llm.layer_02")
VISION, QUERY = "vit.pre_merge@mean", "llm.layer_02@last_query"
TYPES: Mapping[str, float] = {"presence": 0.75, "counting": 0.4, "relation": 0.1}
"""Rate of hallucinated answers by type of question."""
SOURCES = ("first", "second")
QUESTIONS = 2
"""Questions about each image."""
WIDTH = 12
PER_SHARD = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What tells the label of an answer."""

    features: float = 0.0
    """Strength of the label in the features of the last query token, in deviations of their noise."""
    first_token: float = 0.0
    """Strength of the label in the entropy of the first token, likewise."""
    images: int = 500
    seed: int = 0
    even: bool = False
    """True where all types have the same rate of hallucinated answers."""
    undecided: float = 0.0
    """Share of answers that nobody could judge."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its features."""

    sample: Sample
    line: dict[str, Any]
    """Line of judged answers."""
    features: Mapping[str, np.ndarray]


def questions(world: World) -> list[Asked]:
    """Draws the questions of a world; each depends on the seed and its own number alone."""
    return [_question(world, number) for number in range(QUESTIONS * world.images)]


def _question(world: World, number: int) -> Asked:
    random = np.random.default_rng([world.seed, number])
    image = number // QUESTIONS
    types = list(TYPES)
    kind = types[int(random.integers(len(types)))]
    source = SOURCES[image % 2]
    label = bool(random.random() < (0.4 if world.even else TYPES[kind]))
    truth = "yes" if random.random() < 0.5 else "no"
    vision, query = random.normal(size=(2, WIDTH)).astype(np.float32)
    query[types.index(kind)] += 4  # features know the category
    query[5] += world.features * (1 if label else -1)
    query[6] += 2 if truth == "yes" else -2  # and the right answer, whatever the model says
    unsure = float(np.exp(0.3 * (random.normal() + world.first_token * (1 if label else -1))))
    is_undecided = bool(random.random() < world.undecided)
    name = f"asked/{number:05d}"
    said = ("no" if truth == "yes" else "yes") if label else truth
    qa = {"question": f"Question {number}?", "answer": None, "hallucinated": None, "references": [truth], "type": kind}
    sample = Sample(
        id=name,
        dataset="asked",
        split="train",
        group=f"image-{world.seed}-{image}",
        media="image",
        file_name=f"{image}.png",
        width=64,
        height=64,
        annotations={"qa": {**qa, "source": source}},
    )
    line = {
        **{"id": name, "question": qa["question"], "answer": said, "references": [truth], "type": kind},
        **{"source": source, "finish": "stop", "answer_tokens": 1},
        "first_token": {
            **{"p_yes": 0.5, "p_no": 0.4, "entropy": unsure},
            "top": [{"id": 1, "text": said, "log_probability": -unsure}],
        },
        **{"mean_log_probability": -unsure, "mean_entropy": unsure},
        "model": {"name": "planted", "fingerprint": "f" * 64},
        "outcome": "undecided" if is_undecided else "wrong" if label else "right",
        "hallucinated": None if is_undecided else label,
        **{"reason": "", "judge": "rules:any", "version": "v" * 8},
    }
    return Asked(sample, line, {VISION: vision, QUERY: query})


def write(
    folder: Path,
    asked: Sequence[Asked],
    *,
    prompt: str = "{question}",
    blank: str = "",
    keep: Sequence[str] = (VISION, QUERY),
    labelled: bool = False,
    **model: str,
) -> Cache:
    """Writes a cache of questions through the real writer; labels come with answers, unless it is `labelled` itself.

    `keep` are the points whose features are the questions' own; others have noise that is the same for all.
    """
    digest = hashlib.sha256("\n".join(own.sample.id + own.sample.group for own in asked).encode()).hexdigest()
    sizes = [min(PER_SHARD, len(asked) - first) for first in range(0, len(asked), PER_SHARD)]
    described = {"name": "planted", "class": "Planted", "weights": "trained", "dtype": "float32", **model}
    layout = CacheLayout(
        fingerprint={
            "model": {**described, "taps": list(TAPS), "prompt": prompt},
            "dataset": {"name": "haloquest"},
            "input": {"size": "448x448", **({"blank_image": blank} if blank else {})},
        },
        samples_per_shard=PER_SHARD,
        shards=tuple(
            ShardSource(name=f"{n}.tar", sha256=hashlib.sha256(f"{digest} {n}".encode()).hexdigest(), samples=size)
            for n, size in enumerate(sizes)
        ),
        points={name: PointLayout.fixed("pooled", "float32", 1, WIDTH) for name in (VISION, QUERY)},
    )
    blanked = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    with CacheWriter(folder, layout) as writer:
        for pending in writer.pending((VISION, QUERY)):
            with writer.shard(pending) as shard:
                chosen = asked[pending.number * PER_SHARD :][: sizes[pending.number]]
                for place, own in enumerate(chosen):
                    for point in (VISION, QUERY):
                        values = own.features[point] if point in keep else blanked
                        shard.add(place, point, values[None])
                shard.commit(
                    [
                        SampleRow(sample=_described(own, labelled), status="ok", reason=None, grids=_GRIDS)
                        for own in chosen
                    ]
                )
    return open_cache(folder)


_GRIDS = {"pixel": Grid(1, 64, 64), "patch": Grid(1, 4, 4), "merged": Grid(1, 2, 2)}


def _described(own: Asked, labelled: bool) -> Sample:
    if not labelled:
        return own.sample
    from dataclasses import replace

    qa = {**own.sample.annotations["qa"], "answer": own.line["answer"], "hallucinated": own.line["hallucinated"]}
    return replace(own.sample, annotations={"qa": qa})


def judged(path: Path, asked: Sequence[Asked]) -> Path:
    """Writes the lines of judged answers."""
    path.write_text("".join(json.dumps(own.line) + "\n" for own in asked))
    return path
