"""Tars as WebDataset's own writer and plain `tarfile` make them."""

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import webdataset

from tests.support.three_images import picture


def jpeg(number: int) -> bytes:
    """A picture of its own, as a file."""
    file = io.BytesIO()
    picture(number).save(file, format="JPEG")
    return file.getvalue()


def write_samples(path: Path, samples: Iterable[Mapping[str, Any]]) -> Path:
    """Writes samples with the writer of the `webdataset` package, which encodes members by their suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(dict(sample))
    return path


def write_members(path: Path, *members: tuple[str, bytes]) -> Path:
    """Writes members under the very names given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def img2dataset(number: int) -> dict[str, Any]:
    """A sample as img2dataset writes it."""
    key = f"{number:09d}"
    record = {
        **{"caption": f"picture {number}", "url": f"https://example.org/{number}.jpg", "key": key, "status": "success"},
        **{"error_message": None, "width": 48, "height": 36, "original_width": 480, "original_height": 360},
        **{"exif": "{}", "sha256": "0" * 64},
    }
    return {"__key__": key, "jpg": jpeg(number), "txt": f"picture {number}", "json": record}


def img2dataset_folder(root: Path, *, tars: int = 2, each: int = 3) -> Path:
    """A folder as img2dataset leaves it, with a table and statistics beside each tar."""
    for tar in range(tars):
        write_samples(root / f"{tar:05d}.tar", (img2dataset(tar * each + number) for number in range(each)))
        (root / f"{tar:05d}.parquet").write_bytes(b"PAR1")
        (root / f"{tar:05d}_stats.json").write_text("{}")
    return root


def expected_samples(root: Path) -> list[dict[str, Any]]:
    """Samples of all tars of a folder as `webdataset`'s own reader yields them, undecoded."""
    urls = sorted(str(path) for path in root.rglob("*.tar"))
    return list(webdataset.WebDataset(urls, shardshuffle=False))
