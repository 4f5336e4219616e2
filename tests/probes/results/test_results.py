"""Result files: whole or not there, the same after a round trip, and read with a clear word when they are not ours."""

import dataclasses
import json
from pathlib import Path

import pandas
import pytest

from foresight_cache.errors import ProbeError
from foresight_probes.results.result import VERSION, Result, best_of_grids, load_result, load_results, save_result
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval


def result(**changes: object) -> Result:
    """A finished run with made-up numbers."""
    body: dict[str, object] = {
        "identity": "1" * 64,
        "task": "boxes",
        "point": "vit.block_01",
        "head": "mlp",
        "seed": 0,
        "point_index": 0,
        "primary": "mean_iou",
        "metrics": {"mean_iou": Interval(0.5, 0.4, 0.6), "share_above_0.5": Interval(0.25, 0.0, 0.5)},
        "breakdown": {"1": {"images": 1, "objects": 1, "mean_iou": 0.5}},
        "validation": {"value": 0.45, "epoch": 7},
        "not_measured": {"lpips": "no weights"},
        "chance": {"mean_iou": 0.1, "share_above_0.5": 0.0},
        "options": {"epochs": 30, "confidence": 0.95, "resamples": 1000, "learning_rate": None},
        "learning_rate": 0.001,
        "split": {
            "digest": "2" * 64,
            "train": 7,
            "validation": 2,
            "test": 1,
            "left_out": 0,
            "groups": 1,
            "effective_groups": 60.0,
        },
        "cache": {
            **{"digest": "3" * 64, "data": "4" * 64, "path": "caches/demo", "dataset": "shapes"},
            "model": {"name": "tiny:planted", "weights": "random", "taps": ["vit.block_01"]},
        },
        "width": 12,
        "parameters": 100,
        "versions": {"torch": "2.14"},
        "wall_seconds": 1.5,
        "runs_in_pass": 3,
        "bytes_read": 1000,
        "scores_source": (SampleScore("shapes/train/1", "shapes/train/1", (0.5,)),),
    }
    body |= changes
    return Result(**{"run": f"{body['head']}-seed{body['seed']}", **body})  # type: ignore[arg-type]


def test_round_trip(tmp_path: Path) -> None:
    path = save_result(result(trained_now=True), tmp_path)
    assert path == tmp_path / "boxes" / "vit.block_01" / "mlp-seed0.json"
    found = load_result(path)
    assert found.scores == result().scores
    assert dataclasses.replace(found, scores_source=result().scores_source) == result()
    assert sorted(each.name for each in path.parent.iterdir()) == ["mlp-seed0.json", "mlp-seed0.parquet"]
    assert str(result()) == (
        "boxes    vit.block_01     mlp            seed 0  mean_iou 0.500 (0.400–0.600), chance 0.100, n 1"
    )


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_result(result(), tmp_path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ProbeError, match="cannot write the result .*: No space left on device"):
        save_result(result(seed=0, width=99), tmp_path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in path.parent.iterdir()) == ["mlp-seed0.json", "mlp-seed0.parquet"]


def test_results_come_in_order(tmp_path: Path) -> None:
    for point, order in (("z", 0), ("a", 1), ("mean-predictor", -1)):
        save_result(result(point=point, point_index=order), tmp_path)
    assert [each.point for each in load_results(tmp_path)] == ["mean-predictor", "z", "a"]


def test_no_results(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ProbeError, match="holds no probe results; make some with 'foresight train-probe'"):
            load_results(place)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is damaged, it is not JSON"),
        ("[1, 2]", "is not a probe result"),
        ('{"format": "something"}', "is not a probe result"),
        ('{"format": "foresight-probe-result", "version": 1}', f"of version 1, expected {VERSION}"),
        (f'{{"format": "foresight-probe-result", "version": {VERSION}}}', r"is damaged \(identity is missing\)"),
    ],
)
def test_foreign_files(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "boxes" / "p" / "h.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ProbeError, match=reason):
        load_results(tmp_path)


@pytest.mark.parametrize("field", sorted(result().to_json().keys() - {"format", "version"}))
def test_every_field_is_needed_and_of_its_kind(tmp_path: Path, field: str) -> None:
    path = save_result(result(), tmp_path)
    record = json.loads(path.read_text())
    kept = record.pop(field)
    path.write_text(json.dumps(record))
    with pytest.raises(ProbeError, match="is damaged"):
        load_result(path)
    path.write_text(json.dumps(record | {field: [7] if not isinstance(kept, list) else 7}))
    with pytest.raises(ProbeError, match="is damaged"):
        load_result(path)


def test_it_is_json_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_result(result(wall_seconds=float("nan")), tmp_path)
    assert list(tmp_path.rglob("*")) == []


def test_scores_are_read_back_by_pandas(tmp_path: Path) -> None:
    scores = (SampleScore("a", "g", (0.5, 1 / 3)), SampleScore("b", "g", ()), SampleScore("c", "h", (float("nan"),)))
    path = save_result(result(scores_source=scores), tmp_path)
    table = pandas.read_parquet(path.with_suffix(".parquet"))
    assert table["id"].tolist() == ["a", "b", "c"]
    assert table["scores"][0].tolist() == [0.5, 1 / 3]
    assert load_result(path).scores[:2] == scores[:2]


def test_damaged_scores_are_told(tmp_path: Path) -> None:
    """A cut file, a foreign one and a missing one at once; damaged rows when they are read."""
    path = save_result(result(), tmp_path)
    stored = path.with_suffix(".parquet")
    whole = stored.read_bytes()
    found = load_result(path)
    stored.write_bytes(whole[:4] + bytes(len(whole) // 4) + whole[4 + len(whole) // 4 :])
    with pytest.raises(ProbeError, match=r"mlp-seed0.parquet is missing or damaged .* train it again"):
        _ = found.scores
    pandas.DataFrame({"id": ["a"], "group": ["g"]}).to_parquet(stored)
    with pytest.raises(ProbeError, match=r"mlp-seed0.parquet is missing or damaged .*no column scores"):
        load_result(path)
    stored.write_bytes(whole[:-100])
    with pytest.raises(ProbeError, match=r"mlp-seed0.parquet is missing or damaged .* train it again"):
        load_result(path)
    stored.unlink()
    with pytest.raises(ProbeError, match=r"mlp-seed0.parquet is missing or damaged .* train it again"):
        load_result(path)


def test_the_best_of_a_grid_is_that_on_validation() -> None:
    def one(rate: float, validation: float, **changes: object) -> Result:
        chosen = {"value": validation, "epoch": 1}
        return result(run=f"mlp-lr{rate}-seed0", learning_rate=rate, validation=chosen, **changes)

    found = best_of_grids([one(1, 0.2), one(2, 0.5), one(3, 0.4), one(1, 0.1, seed=1), one(1, 0.1, task="position")])
    assert [(each.task, each.seed, each.learning_rate) for each in found] == [
        ("boxes", 0, 2),
        ("boxes", 1, 1),
        ("position", 0, 1),
    ]
