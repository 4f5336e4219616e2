"""q2 on a handful of real pictures and clips: nothing is decided, everything is said, and nothing breaks."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from foresight_cache.encoders.qwen2_5_vl import Family
from pipelines import studies
from tests.support.command import foresight

LINEAR = ("boxes", "detection", "pictures")
"""Groups of runs with several heads, of which the linear one is the cheapest."""
_FOLDER = Path(studies.__file__).parent


def q2(folder: Path) -> Path:
    """Writes q2 with fewer heads and without controls, which would take most of an hour."""
    content = yaml.safe_load((_FOLDER / "q2.yaml").read_text())
    for name, group in content["runs"].items():
        group["controls"] = False
        if name in LINEAR:
            group["heads"] = ["token-linear"]
    del content["measures"]["map-50-detr"]  # which nothing is decided by
    path = folder / "q2.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return path


def cache(folder: Path, dataset: str, root: Path, split: str, *extraction: object) -> Path:
    """A cache of what there is of a real dataset."""
    partial = () if dataset == "video-folder" else ("--partial", "--split", split)
    run = foresight("prepare", dataset, "--root", root, *partial, "--out", folder / f"S-{dataset}")
    assert run.returncode == 0, run.stderr
    run = foresight("extract", folder / f"S-{dataset}", "--size", 112, "--out", folder / dataset, *extraction)
    assert run.returncode == 0, run.stderr
    return folder / dataset


def carried_out(path: Path, caches: list[Path], out: Path, lpips: Path, folds: int) -> dict[str, Any]:
    """The study by its command, and what it says of it for programs."""
    given = [word for own in caches for word in ("--cache", own)]
    run = foresight("study", path, *given, "--folds", folds, "--lpips-weights", lpips, "--out", out)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    loaded: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    return loaded


def require_undecided(found: dict[str, Any]) -> list[str]:
    """Names of claims that are undecided; all others are not measured, with a reason, and there is no verdict."""
    claims = found["claims"]
    statuses = {name: claim["status"] for name, claim in claims.items()}
    assert set(statuses.values()) <= {"undecided", "not measured"}, statuses
    assert not [name for name, claim in claims.items() if not claim["why"]]
    assert found["verdict"] == "UNDECIDED"
    return [name for name, status in statuses.items() if status == "undecided"]


@pytest.mark.slow
def test_a_tiny_model_of_28_layers(assets: Path, tmp_path: Path) -> None:
    config, processor = Family.tiny()
    config.text_config.num_hidden_layers = 28
    config.text_config.layer_types = ["full_attention"] * 28
    config.architectures = [Family.model_class]
    config.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    model, data = ("--model", f"random:{tmp_path / 'model'}", "--points", "E4,E5,E7"), assets / "data"
    caches = [
        cache(tmp_path, "coco2017", data / "coco", "val2017", *model),
        cache(tmp_path, "ade20k", data / "ADEChallengeData2016", "validation", *model),
        cache(tmp_path, "video-folder", data / "videos", "all", *model, "--frames", 8),
    ]
    found = carried_out(q2(tmp_path), caches, tmp_path / "out", assets / "models" / "lpips", 2)
    undecided = require_undecided(found)
    assert {"pre-merge-iou.high", "post-merge-iou.fails", "middle-layer-iou.falls", "merger-iou.loses"} <= {*undecided}
    for name in ("pre-merge-iou.high", "post-merge-iou.fails", "merger-lpips.loses"):
        assert "needs about" in found["claims"][name]["why"], found["claims"][name]
    page = (tmp_path / "out" / "report.md").read_text()
    assert "clips are 4 clips of video-folder, and not of ssv2" in page
    assert "llm.layer_14" in page


@pytest.mark.slow
def test_dinov2(assets: Path, tmp_path: Path) -> None:
    model = ("--model", assets / "models" / "dinov2-small-saliency", "--points", "E2,E3")
    caches = [cache(tmp_path, "coco2017", assets / "data" / "coco", "val2017", *model)]
    found = carried_out(q2(tmp_path), caches, tmp_path / "out", assets / "models" / "lpips", 2)
    undecided = require_undecided(found)
    assert {"located.target", "detected.target"} <= {*undecided}
    assert "needs about" in found["claims"]["located.target"]["why"]
    assert found["claims"]["pre-merge-iou.high"]["why"]
