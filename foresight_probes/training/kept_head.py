"""The way back from the file of a run's weights to its head."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from foresight_cache.errors import ForesightError, ProbeError
from foresight_cache.samples import Grid
from foresight_probes import heads
from foresight_probes.batches import OutputSpec
from foresight_probes.constant_answer import ConstantAnswer
from foresight_probes.features.standardization import Standardization
from foresight_probes.features.views import CHANNELS, View
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.results.checkpoints import load_checkpoint
from foresight_probes.training.fitted import Fitted
from foresight_probes.training.started_head import StartedHead, ViewedHead
from foresight_probes.training.zeroth_epoch import ConstantHead


def recipe_of(fitted: Fitted, outputs: OutputSpec) -> dict[str, Any]:
    """Returns how a run's head is made, as JSON has it: all but the numbers of its weights.

    `outputs` is what the task takes from a head on the run's point (`Task.outputs_for`).
    """
    head, recipe = fitted.head, {"head": fitted.run.head, "seed": fitted.run.seed, "outputs": asdict(outputs)}
    if isinstance(head, ConstantHead):
        return {**recipe, "places": head.answer.places}
    if isinstance(head, ViewedHead):
        start = head.head.start if isinstance(head.head, StartedHead) else 0
        return {**recipe, "inputs": fitted.chosen["inputs"], "start": start}
    return recipe


def load_head(path: Path, identity: str) -> tuple[ProbeHead, Standardization]:
    """Returns the head of a run with its weights, and the standardization of the features that it takes.

    `head(standardization(features))` is the prediction that the run was evaluated by. `identity` is `Result.identity`.
    Raises `ProbeError` where the file is missing or damaged, or is of another run.
    """
    stored = load_checkpoint(path, identity)
    try:
        head = _built(stored.recipe, stored.weights, stored.standardization)
        head.load_state_dict(stored.weights)
    except (KeyError, TypeError, ValueError, RuntimeError, ForesightError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ProbeError(f"{path} does not tell how its head is made ({reason}); train its run again") from error
    return head.eval(), stored.standardization


def _built(recipe: Mapping[str, Any], weights: Mapping[str, Tensor], standardization: Standardization) -> ProbeHead:
    outputs = _outputs(recipe["outputs"])
    if "places" in recipe:
        places = recipe["places"] and Grid(*recipe["places"])
        return ConstantHead(ConstantAnswer(values=weights["constant"], places=places))
    made = {"name": recipe["head"], "seed": recipe["seed"]}
    if "inputs" not in recipe:
        widths = tuple(len(point.token_mean) for point in (standardization, *standardization.others))
        return heads.build(**made, width=widths, outputs=outputs)
    start, inputs = int(recipe["start"]), recipe["inputs"]
    view = View(
        name=inputs,
        weight=weights["view_weight"],
        bias=weights["view_bias"],
        start=start,
        all_channels=inputs == CHANNELS,
    )
    body = heads.build(**made, width=view.width - start, outputs=replace(outputs, residual=start > 0))
    return ViewedHead(StartedHead(body, outputs, start), view, pooled=not heads.reads_tokens(recipe["head"]))


def _outputs(record: Mapping[str, Any]) -> OutputSpec:
    """The record of `dataclasses.asdict`, of which JSON made lists."""
    cell = record["cell"]
    lists = {"predicts": tuple(record["predicts"]), "grid": Grid(*record["grid"]), "cell": cell and tuple(cell)}
    return OutputSpec(**{**record, **lists})
