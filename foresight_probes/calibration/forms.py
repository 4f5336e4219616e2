"""The form in which facts stand in tokens: as they are, under noise, or hidden behind a sign."""

from typing import Literal, get_args

import numpy as np

from foresight_probes.calibration.facts import Facts, Group

Form = Literal["linear", "snr", "mild_snr", "token_snr", "product", "token_product"]
"""Forms of facts: read by a linear map; the same under noise of known power, which tokens about the same thing share;
under less of it; under less, each token its own; times a random sign of the sample, or of each token, which stands
among the facts as well, so that a product tells and no linear map does."""
FORMS: tuple[Form, ...] = get_args(Form)
MILD = 0.6
"""Deviation of the noise in `mild_snr` and `token_snr`, as a share of that in `snr`."""


def shaped(facts: Facts, form: Form, generators: list[np.random.Generator]) -> np.ndarray:
    """Returns facts in a form, [B, N, F], with one column more where a sign hides them.

    Each sample draws from its own generator.
    """
    if form == "linear":
        return facts.values_BNF
    if form in ("snr", "mild_snr", "token_snr"):
        share, shared = 1.0 if form == "snr" else MILD, form != "token_snr"
        return np.concatenate([_noisy(group, share, generators, shared=shared) for group in facts.groups], axis=2)
    tokens = facts.values_BNF.shape[1]
    signs_BN1 = np.stack([_signs(generator, tokens, single=form == "product") for generator in generators])
    return np.concatenate([facts.values_BNF * signs_BN1, signs_BN1], axis=2)


def _noisy(group: Group, share: float, generators: list[np.random.Generator], *, shared: bool) -> np.ndarray:
    """Returns the facts of a group with a share of its noise, [B, N, F], the same in all tokens of a share or not."""
    noised_BNF = group.values_BNF.copy()
    for values_NF, shares_N, generator in zip(noised_BNF, group.shares_BN, generators, strict=True):
        rows = shares_N if shared else np.arange(len(values_NF))
        values_NF += share * group.noise * generator.normal(size=(rows.max() + 1, values_NF.shape[1]))[rows]
    return noised_BNF


def _signs(generator: np.random.Generator, tokens: int, *, single: bool) -> np.ndarray:
    """Returns a sign for each token, [N, 1], or a single one for all."""
    signs = generator.choice([-1.0, 1.0], size=(1 if single else tokens, 1))
    return np.broadcast_to(signs, (tokens, 1))
