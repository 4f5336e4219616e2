"""Weights of runs keep the names that files of version 3 have always had."""

from pathlib import Path

import torch
from safetensors import safe_open

from foresight_probes.features.standardization import Standardization
from foresight_probes.results.checkpoints import load_checkpoint, load_weights, to_bytes

PARTS = ("token_mean", "token_scale", "pooled_mean", "pooled_scale")


def standardization(start: float, *others: Standardization) -> Standardization:
    vectors = {part: torch.full((2,), start + number) for number, part in enumerate(PARTS)}
    return Standardization(**vectors, others=others)


def test_names_and_values(tmp_path: Path) -> None:
    fitted = standardization(0.0, standardization(4.0))
    path = tmp_path / "run.safetensors"
    path.write_bytes(to_bytes({"linear.weight": torch.eye(2)}, fitted, "abc", {"head": "any"}))
    with safe_open(path, framework="pt") as file:
        values = {name: file.get_tensor(name).flatten()[0].item() for name in file.keys()}  # noqa: SIM118 - no mapping
    assert values == {
        "head.linear.weight": 1.0,
        **{f"standardisation.0.{part}": float(number) for number, part in enumerate(PARTS)},
        **{f"standardisation.1.{part}": 4.0 + number for number, part in enumerate(PARTS)},
    }
    weights, loaded = load_weights(path, "abc")
    assert weights.keys() == {"linear.weight"}
    assert loaded.others[0].pooled_scale.tolist() == [7.0, 7.0]
    assert load_checkpoint(path, "abc").recipe == {"head": "any"}
