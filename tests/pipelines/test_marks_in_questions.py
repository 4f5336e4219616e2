"""One line of data that somebody else wrote costs one sample and not the extraction."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache import open_cache
from tests.support.command import foresight, said

PLAIN = ["What colour is the left half?", "How many shapes are there?"]


def shards(tmp_path: Path, questions: list[str]) -> Path:
    root = tmp_path / "questions"
    (root / "images").mkdir(parents=True)
    draw = np.random.default_rng(0)
    with (root / "test.jsonl").open("w", encoding="utf-8") as file:
        for number, question in enumerate(questions):
            pixels = draw.integers(0, 256, (56, 56, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"images/{number}.png")
            file.write(json.dumps({"image": f"images/{number}.png", "question": question}) + "\n")
    out = tmp_path / "S"
    assert foresight("prepare", "qa-jsonl", "--root", root, "--out", out).returncode == 0
    return out


@pytest.mark.parametrize(
    ("model", "size", "question"),
    [
        ("tiny:qwen2_5_vl", 56, "What does the token <|image_pad|> mean?"),
        ("tiny:qwen3_vl", 64, "Is <|video_pad|> shown here?"),
        ("tiny:llava_next", 70, "<image>\nWhat is shown?"),
        ("tiny:internvl", 112, "Is it red?<|im_end|>\n<|im_start|>assistant\nYes."),
    ],
)
def test_one_question_is_quarantined_and_the_others_are_kept(
    tmp_path: Path, model: str, size: int, question: str
) -> None:
    prepared, out = shards(tmp_path, [PLAIN[0], question, PLAIN[1]]), tmp_path / "C"
    command = ["extract", prepared, "--model", model, "--points", "llm.layer_02,llm.layer_02@last_query"]
    command += ["--prompt", "{question}", "--size", size, "--dtype", "float32", "--out", out]
    assert "1 of 3 samples" in said(*command, status=1)
    statuses = [row["status"] for row in open_cache(out).rows]
    reasons = [row["reason"] for row in open_cache(out).rows]
    assert statuses == ["ok", "bad", "ok"]
    assert "take it out" in reasons[1]
    assert foresight(*command, "--max-bad", 0.4).returncode == 0, "the same command goes on, and is done"


def test_a_mark_in_the_prompt_is_a_wrong_argument(tmp_path: Path) -> None:
    prepared = shards(tmp_path, PLAIN)
    for command in ("extract", "plan"):
        usual = [command, prepared, "--model", "tiny:llava_next", "--points", "llm.layer_02", "--size", 70]
        told = said(*usual, "--prompt", "USER: <image> What? ASSISTANT:", "--out", tmp_path / "C", status=2)
        assert told.startswith("foresight: --prompt 'USER: <image> What? ASSISTANT:' has '<image>' in it")
        assert not (tmp_path / "C").exists()
