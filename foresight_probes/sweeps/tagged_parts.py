"""The metrics of test samples by their tags, such as those indoors and those outdoors."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from foresight_cache.errors import UndefinedMetric
from foresight_probes.metrics import Scores
from foresight_probes.tasks import Task

MOST_VALUES = 20
"""Values of a tag up to which each is a part; one with more, or with another for each sample, tells no kinds."""


def by_tags(task: Task, scores: Scores, samples: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns metrics, and the number of samples, of those with each value of each tag: `tags.<tag>: <value>`.

    `samples` are the rows of the sample table that the scores are of. What is not defined for a part is left out.
    """
    positions: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for position, sample in enumerate(samples):
        for tag, value in sample["annotations"].get("tags", {}).items():
            positions[tag][value].append(position)
    parts: dict[str, dict[str, float]] = {}
    for tag in sorted(positions):
        if len(positions[tag]) > MOST_VALUES or max(map(len, positions[tag].values())) == 1:
            continue
        for value, own in sorted(positions[tag].items()):
            parts[f"tags.{tag}: {value}"] = {"samples": len(own)}
            with suppress(UndefinedMetric):
                parts[f"tags.{tag}: {value}"] |= task.metrics([scores[position] for position in own])
    return parts
