"""Readings of boxes: Q2's probe and C1's on real features, one thing changed at a time, and the product's own heads."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from foresight_cache.reader import Cache
from foresight_probes import tasks
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import side_of
from foresight_probes.sweeps.run import train
from foresight_probes.tasks import TaskContext
from pipelines.discrepancy.box_probe import BoxProbe
from pipelines.discrepancy.judges import Judge, by_best, by_hungarian, by_hungarian_of_all, by_place, judged
from pipelines.discrepancy.readings import Reading

SEEDS = (0, 1, 2)
OPTIONS = TrainingOptions(train_share=0.6, validation_share=0.1, resamples=200)
"""The usual ones with more test scenes; intervals are made anew from their scores."""
MANY, ONE, OF_RANDOM = "Boxes of one to five objects", "The box of a single object", "Boxes of a tiny Qwen2.5-VL"
HIDDEN, LEAK_EPOCHS, LONG_EPOCHS = 512, 100, 250


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A plain probe with one thing changed."""

    key: str
    what: str
    probe: BoxProbe
    against: str
    judge: Judge = by_hungarian
    leaks: bool = False
    """True where the test scenes are among the training scenes."""
    in_hook_order: bool = False


_Q2 = BoxProbe()
_FREE = BoxProbe(match="hungarian", zeros=False)
_SINGLE = BoxProbe(slots=1)
_C1 = BoxProbe(slots=1, hidden=HIDDEN)

OF_MANY = (
    Variant(key="q2", what="Q2's probe as it stands, judged by Hungarian matching", probe=_Q2, against=""),
    Variant(
        key="q2-best", what="the same, judged by the best object of each slot", probe=_Q2, against="q2", judge=by_best
    ),
    Variant(key="q2-place", what="the same, judged by place in the list", probe=_Q2, against="q2", judge=by_place),
    Variant(key="q2-hook", what="tokens in the order of a hook", probe=_Q2, against="q2", in_hook_order=True),
    Variant(key="q2-no-zeros", what="no boxes of zeros in the loss", probe=replace(_Q2, zeros=False), against="q2"),
    Variant(
        key="q2-sorted",
        what="objects from left to right, no zeros",
        probe=replace(_Q2, match="sorted", zeros=False),
        against="q2-no-zeros",
    ),
    Variant(key="q2-five", what="five slots instead of ten", probe=replace(_Q2, slots=5), against="q2"),
    Variant(
        key="q2-matched",
        what="Hungarian matching in the loss, no zeros, the best of all ten slots",
        probe=_FREE,
        against="q2",
        judge=by_hungarian_of_all,
    ),
    Variant(key="q2-mlp", what=f"a hidden layer of {HIDDEN}", probe=replace(_Q2, hidden=HIDDEN), against="q2"),
    Variant(
        key="q2-long", what=f"{LONG_EPOCHS} epochs instead of 50", probe=replace(_Q2, epochs=LONG_EPOCHS), against="q2"
    ),
    Variant(
        key="q2-free",
        what=f"a hidden layer, no zeros, {LEAK_EPOCHS} epochs",
        probe=BoxProbe(hidden=HIDDEN, zeros=False, epochs=LEAK_EPOCHS),
        against="q2-mlp",
    ),
    Variant(
        key="q2-leak",
        what="the same, test scenes among the training scenes",
        probe=BoxProbe(hidden=HIDDEN, zeros=False, epochs=LEAK_EPOCHS),
        against="q2-free",
        leaks=True,
    ),
)
OF_TINY = (
    Variant(key="tiny-q2", what="Q2's probe as it stands", probe=_Q2, against=""),
    Variant(key="tiny-q2-hook", what="tokens in the order of a hook", probe=_Q2, against="tiny-q2", in_hook_order=True),
)
OF_ONE = (
    Variant(key="one-ten", what="Q2's probe as it stands, scenes of one object", probe=_Q2, against="q2"),
    Variant(key="one", what="one slot instead of ten", probe=_SINGLE, against="one-ten"),
    Variant(
        key="one-long",
        what=f"one slot, {LONG_EPOCHS} epochs",
        probe=replace(_SINGLE, epochs=LONG_EPOCHS),
        against="one",
    ),
    Variant(key="c1", what=f"C1's probe: one slot and a hidden layer of {HIDDEN}", probe=_C1, against="one"),
    Variant(key="c1-long", what=f"C1's, {LEAK_EPOCHS} epochs", probe=replace(_C1, epochs=LEAK_EPOCHS), against="c1"),
    Variant(
        key="c1-leak",
        what="the same, test scenes among the training scenes",
        probe=replace(_C1, epochs=LEAK_EPOCHS),
        against="c1-long",
        leaks=True,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A head as `foresight train-probe` finds it."""

    key: str
    what: str
    task: str
    head: str
    against: str
    in_hook_order: bool = False


PRODUCT_MANY = (
    Product(
        key="naive", what="`naive-boxes`, converged, judged by the best object of each slot", task="naive-boxes",
        head="pooled-linear", against="q2-best",
    ),
    Product(key="pooled", what="`boxes`, `pooled-linear`", task="boxes", head="pooled-linear", against="q2"),
    Product(key="tokens", what="`boxes`, `token-linear`", task="boxes", head="token-linear", against="pooled"),
    Product(
        key="tokens-hook", what="the same, tokens in the order of a hook", task="boxes", head="token-linear",
        against="tokens", in_hook_order=True,
    ),
)  # fmt: skip
PRODUCT_TINY = (
    Product(
        key="tiny-tokens", what="`boxes`, `token-linear`", task="boxes", head="token-linear", against="tiny-q2"
    ),
    Product(
        key="tiny-tokens-hook", what="the same, tokens in the order of a hook", task="boxes", head="token-linear",
        against="tiny-tokens", in_hook_order=True,
    ),
)  # fmt: skip
PRODUCT_ONE = (
    Product(key="one-pooled", what="`position`, `pooled-linear`", task="position", head="pooled-linear", against="one"),
    Product(
        key="one-tokens", what="`position`, `token-linear`", task="position", head="token-linear", against="one-pooled"
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """A point of a cache with its means over tokens and its boxes, and the same with tokens in a hook's order."""

    cache: Cache
    hooked: Cache | None
    point: str

    def sides(self) -> dict[str, list[int]]:
        """Returns the rows of each side of the split."""
        shares = {"train_share": OPTIONS.train_share, "validation_share": OPTIONS.validation_share}
        sides: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
        for number, row in enumerate(self.cache.rows):
            sides[side_of(row["group"], **shares)].append(number)
        return sides

    def groups(self) -> tuple[str, ...]:
        """Returns the groups of the test scenes."""
        return tuple(self.cache.rows[row]["group"] for row in self.sides()["test"])

    def truth(self) -> list[Tensor]:
        """Returns the boxes of each scene in the order of annotation."""
        task = tasks.load("naive-boxes", TaskContext(samples=self.cache.rows))
        return [target for target in map(task.target, self.cache.rows) if target is not None]

    def ordered(self, *, hook: bool) -> Cache:
        """Returns the cache whose tokens are in raster order, or in that of a hook."""
        return self.hooked if hook and self.hooked else self.cache


def plain_readings(scenes: Scenes, variants: Sequence[Variant], part: str) -> list[Reading]:
    """Trains the plain probes from each seed; those that differ in the judge alone are trained once."""
    means = {hook: _means(scenes.ordered(hook=hook), scenes.point) for hook in {own.in_hook_order for own in variants}}
    truth, sides, groups = scenes.truth(), scenes.sides(), scenes.groups()
    answers: dict[tuple[BoxProbe, bool, bool, int], Tensor] = {}

    def scored(variant: Variant, probe: BoxProbe, seed: int) -> list[np.ndarray]:
        key = (probe, variant.leaks, variant.in_hook_order, seed)
        if key not in answers:
            features = means[variant.in_hook_order]
            rows = sides["train"] + (sides["test"] if variant.leaks else [])
            network = probe.fit(features[rows], [truth[row] for row in rows], seed=seed)
            answers[key] = probe.answer(network, features[sides["test"]])
        return judged(answers[key], [truth[row] for row in sides["test"]], variant.judge)

    readings = []
    for variant in variants:
        blind = scored(variant, replace(variant.probe, sees=False), SEEDS[0])
        readings.append(
            Reading(
                key=variant.key,
                part=part,
                what=variant.what,
                metric="mean_iou",
                scores=tuple(scored(variant, variant.probe, seed) for seed in SEEDS),
                groups=groups,
                chance=float(np.concatenate(blind).mean()),
                against=variant.against,
            )
        )
    return readings


def product_readings(scenes: Scenes, wanted: Sequence[Product], part: str, runs: Path) -> list[Reading]:
    """Trains heads as `foresight train-probe` does; what is finished is kept."""
    readings = []
    for own in wanted:
        cache = scenes.ordered(hook=own.in_hook_order)
        out = runs / Path(cache.path).name
        results = train(cache, tasks=[own.task], points=[scenes.point], heads=[own.head], out=out, options=OPTIONS)
        result = next(result for result in results if (result.point, result.head) == (scenes.point, own.head))
        by_group = {score.group: np.array(score.scores) for score in result.scores}
        keep = slice(1) if own.task == "position" else slice(None)  # its errors of centre and size stand behind
        readings.append(
            Reading(
                key=own.key,
                part=part,
                what=own.what,
                metric="mean_iou",
                scores=([by_group[group][keep] for group in scenes.groups()],),
                groups=scenes.groups(),
                chance=result.chance["mean_iou"],
                against=own.against,
            )
        )
    return readings


def _means(cache: Cache, point: str) -> Tensor:
    return torch.stack([torch.from_numpy(tokens_ND.mean(0)) for tokens_ND in cache[point].each(bad="raise")])
