"""How much of a difference each factor makes: the readings between which it lies, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foresight_probes.statistics.interval import Interval
from pipelines.discrepancy.readings import Reading, difference_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One factor, between a reading without it and one with it."""

    factor: str
    before: str
    after: str
    is_link: bool = True
    """True for a link of the chain from the first reading to the last, whose links add up; False for a factor alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chain:
    """A difference between two readings, the links that it is made of, and factors that lie beside it."""

    question: str
    first: str
    last: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What a factor makes, in the metric and as a share of the whole difference."""

    question: str
    factor: str
    is_link: bool
    difference: Interval
    share: Interval
    """Of the whole difference, whose own uncertainty is not in it."""


CHAINS = (
    Chain(
        question="IoU 0.10 against 0.57",
        first="q2",
        last="c1",
        steps=(
            Step(factor="one object a scene instead of one to five", before="q2", after="one-ten"),
            Step(factor="one slot instead of ten", before="one-ten", after="one"),
            Step(factor="a hidden layer", before="one", after="c1"),
            Step(factor="token order", before="q2", after="q2-hook", is_link=False),
            Step(factor="which IoU: best object of a slot", before="q2", after="q2-best", is_link=False),
            Step(factor="which IoU: by place in the list", before="q2", after="q2-place", is_link=False),
            Step(factor="boxes of zeros in the loss", before="q2-no-zeros", after="q2", is_link=False),
            Step(factor="sorted slots", before="q2-no-zeros", after="q2-sorted", is_link=False),
            Step(factor="a hidden layer, many objects", before="q2", after="q2-mlp", is_link=False),
            Step(factor="five times the epochs, many objects", before="q2", after="q2-long", is_link=False),
            Step(factor="five times the epochs, one object", before="one", after="one-long", is_link=False),
            Step(factor="leakage, many objects", before="q2-free", after="q2-leak", is_link=False),
            Step(factor="leakage, one object", before="c1-long", after="c1-leak", is_link=False),
            Step(factor="tokens instead of their mean, many objects", before="pooled", after="tokens", is_link=False),
            Step(
                factor="tokens instead of their mean, one object",
                before="one-pooled",
                after="one-tokens",
                is_link=False,
            ),
            Step(factor="token order, where tokens are read", before="tokens", after="tokens-hook", is_link=False),
        ),
    ),
    Chain(
        question="LPIPS 1.54 against 0.09",
        first="noise",
        last="vit.patch_embed",
        steps=(
            Step(factor="learning the mean picture instead of nothing", before="noise", after="mean"),
            Step(factor="drawing what tokens of a block know", before="mean", after="vit.block_09"),
            Step(factor="tokens that still hold the pixels", before="vit.block_09", after="vit.patch_embed"),
            Step(
                factor="right cells, from a hook's order to their own",
                before="hook",
                after="vit.patch_embed",
                is_link=False,
            ),
            Step(
                factor="right cells, from random order to their own",
                before="random",
                after="vit.patch_embed",
                is_link=False,
            ),
            Step(factor="0 to 1 given as -1 to 1", before="mean", after="range", is_link=False),
        ),
    ),
    Chain(
        question="mAP 0.001 against 1",
        first="detr-2",
        last="detection-tokens",
        steps=(
            Step(factor="convergence: 10 epochs instead of 2", before="detr-2", after="detr-10"),
            Step(factor="tokens that know their place", before="detr-10", after="detr-places"),
            Step(factor="queries that have a place", before="detr-places", after="anchored"),
            Step(factor="an answer from each token", before="anchored", after="detection-tokens"),
        ),
    ),
    Chain(
        question="96 channels against 3,584",
        first="wide",
        last="base",
        steps=(
            Step(factor="width, by 30 epochs of Adam", before="wide", after="base"),
            Step(factor="twice the epochs, 3,584 channels", before="wide", after="wide-long", is_link=False),
            Step(factor="a closed form, 3,584 channels", before="wide", after="wide-closed", is_link=False),
            Step(factor="width, by a closed form", before="wide-closed", after="base-closed", is_link=False),
        ),
    ),
)
"""The riddles. Links of a chain add up to its difference; the others are what a factor makes by itself."""


def shares_of(readings: Sequence[Reading], chains: Sequence[Chain] = CHAINS) -> list[Share]:
    """Returns the share of each factor; chains of which a reading is missing are left out."""
    by_key = {reading.key: reading for reading in readings}
    return [
        share
        for chain in chains
        if all({step.before, step.after} <= by_key.keys() for step in chain.steps)
        for share in _shares(chain, by_key)
    ]


def _shares(chain: Chain, by_key: Mapping[str, Reading]) -> list[Share]:
    whole = difference_of(by_key[chain.last], by_key[chain.first]).value
    shares = []
    for step in chain.steps:
        difference = difference_of(by_key[step.after], by_key[step.before])
        ends = sorted((difference.low / whole, difference.high / whole))
        share = Interval(difference.value / whole, *ends)
        shares.append(
            Share(
                question=chain.question,
                factor=step.factor,
                is_link=step.is_link,
                difference=difference,
                share=share,
            )
        )
    return shares
