"""Damaged images are decoded or refused as bad samples, and nothing else."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache.errors import BadSample
from foresight_cache.media.images import decode_image, image_size
from tests.support.mutations import damaged
from tests.support.trial import Trials, generators, some

FORMATS = {
    "jpeg": (1300, ("RGB", "L", "CMYK")),
    "png": (1300, ("RGB", "RGBA", "P", "LA", "I;16", "1")),
    "webp": (150, ("RGB", "RGBA")),
    "gif": (150, ("P",)),
    "tiff": (200, ("RGB", "L")),
    "bmp": (100, ("RGB", "P")),
    "ppm": (100, ("RGB", "L")),
}
"""Inputs per format and the kinds of pixels that its images have."""


def images(kind: str, modes: tuple[str, ...]) -> list[bytes]:
    """Small pictures of one format, some with EXIF, an animation or a progressive encoding."""
    noise = np.random.default_rng(3).integers(0, 256, (19, 26, 3), dtype=np.uint8)
    encoded = []
    for mode in modes:
        picture = Image.fromarray(noise)
        picture = (
            Image.fromarray(noise[..., 0].astype(np.uint16) * 200) if mode == "I;16" else picture.convert(mode or "RGB")
        )
        exif = Image.Exif()
        exif[0x0112] = 6
        for options in ({}, {"progressive": True, "exif": exif}) if kind in ("jpeg", "png", "webp") else ({},):
            buffer = io.BytesIO()
            picture.save(buffer, kind, **options)
            encoded.append(buffer.getvalue())
    if kind == "gif":
        buffer = io.BytesIO()
        frames = [Image.fromarray(noise), Image.fromarray(noise[::-1])]
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
        encoded.append(buffer.getvalue())
    if kind == "tiff":
        for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
            buffer = io.BytesIO()
            Image.fromarray(noise).save(buffer, kind, compression=compression)
            encoded.append(buffer.getvalue())
    return encoded


def looked_at(data: bytes) -> tuple[tuple[int, int] | None, np.ndarray]:
    """What the two functions say; a header may be sound where the rest is not."""
    try:
        size = image_size(data)
    except BadSample:
        size = None
    return size, decode_image(data)


def checksums_mended(data: bytes, generator: random.Random) -> bytes:
    """A damaged PNG whose chunks have right checksums again, so that the damage gets past the first check."""
    import zlib

    result, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at : at + 4], "big"), len(data) - at - 12)
        body = data[at + 4 : at + 8 + length]
        if generator.random() < 0.3:
            body = body[:4] + damaged(body[4:], generator, body)
        result += (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
        at += 12 + length
    return bytes(result)


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_images(tmp_path: Path, kind: str) -> None:
    whole, modes = FORMATS[kind]
    count = some(whole)
    sound = images(kind, modes)
    (tmp_path / "a" / "nothing").mkdir(parents=True)
    for whole in sound:
        size, pixels = looked_at(whole)
        assert size == pixels.shape[:2]
    with Trials(tmp_path / "a" / "nothing") as trials:
        for number, generator in generators(1, count):
            whole = generator.choice(sound)
            if kind == "png" and generator.random() < 0.4:
                data = checksums_mended(whole, generator)
            else:
                data = damaged(whole, generator, generator.choice(sound))
            result = trials.run((kind, number), lambda data=data: looked_at(data), refusals=BadSample)
            if isinstance(result, BadSample):
                continue
            size, pixels = result
            assert size is None or size == pixels.shape[:2], f"{kind} {number}: two sizes of one image"
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["BadSample"] > count // 10
    assert trials.outcomes["accepted"] > 0, "no input came far"
