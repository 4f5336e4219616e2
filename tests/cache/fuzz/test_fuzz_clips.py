"""Damaged clips are decoded or refused as bad samples, and nothing else."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache.errors import BadSample
from foresight_cache.media import clips
from foresight_cache.media.clips import clip_facts, decode_clip
from tests.support.made_clips import counting
from tests.support.mutations import damaged
from tests.support.trial import Trials, generators, some

KINDS: dict[str, tuple[dict[str, Any], ...]] = {
    "mp4": ({}, {"muxer": {"movflags": "faststart"}}, {"codec": "mpeg4"}, {"rotation": 90}),
    "webm": ({}, {"codec": "libvpx"}, {"muxer": {"live": "1"}}),
    "avi": ({}, {"codec": "mjpeg", "pixel_format": "yuvj420p"}, {"codec": "libx264"}),
}
COUNT = some(700)
"""Inputs per container."""


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_clips(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "MAX_PIXELS", 1 << 20)
    sound = [counting(12, kind, **how) for how in KINDS[kind]]
    (tmp_path / "a" / "nothing").mkdir(parents=True)

    def looked_at(data: bytes) -> tuple[clips.ClipFacts, np.ndarray]:
        facts = clip_facts({kind: data})
        return facts, decode_clip({kind: data}, [0, facts.frames - 1])

    with Trials(tmp_path / "a" / "nothing") as trials:
        for number, generator in generators(7, COUNT):
            data = damaged(generator.choice(sound), generator, generator.choice(sound))
            result = trials.run((kind, number), lambda data=data: looked_at(data), refusals=BadSample)
            if isinstance(result, BadSample):
                continue
            facts, pixels = result
            assert pixels.shape == (2, facts.height, facts.width, 3)
            assert pixels.dtype == np.uint8
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["BadSample"] > COUNT // 10
    assert trials.outcomes["accepted"] > 0, "no input came far"
