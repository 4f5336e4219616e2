"""What commands write: JSON that any program can read, and streams whose reader may leave."""

import io
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from foresight_cache import Cache


def print_json(value: Any) -> None:
    """Prints a value as JSON in ASCII; numbers that JSON does not have, NaN and infinity, become null.

    >>> print_json({"value": float("nan"), "names": ("é", 1)})
    {
     "value": null,
     "names": [
      "\\u00e9",
      1
     ]
    }
    """
    print(json.dumps(_plain(value), indent=1, allow_nan=False))


def _plain(value: Any) -> Any:
    """Returns the value with plain numbers, texts for paths, and None for numbers that are not finite."""
    import numpy as np

    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic | np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Stream(io.FileIO):
    """A file descriptor whose reader may leave: what nobody reads any more is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(memoryview(data).cast("B"))


def tolerate_closed_pipes() -> None:
    """Lets work go on to its own end and exit status when the reader of its output, such as `head`, has left.

    Letters that the terminal's encoding lacks, and bytes of file names that are not text, are written as escapes.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None:
            setattr(sys, name, _tolerant(stream))


def _tolerant(stream: TextIO) -> TextIO:
    stream.flush()
    raw = _Stream(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering if isinstance(stream, io.TextIOWrapper) else False,
        write_through=stream is sys.stderr,
    )


def flush() -> None:
    """Writes what is still buffered for standard output. Raises `OSError` where it cannot, and drops the rest."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def cache_json(cache: "Cache") -> dict[str, Any]:
    """Returns what a cache is, as numbers and names: `summary`, and of each array `point`, `shape`, `type` and more."""
    model, layout = cache.fingerprint["model"], cache.layout
    points = [
        {
            "point": name,
            "shape": cache[name].shape,
            "type": layout.points[name].dtype,
            "bytes": cache.sizes(name)[0],
            "codec": layout.points[name].codec,
            "bytes_raw": cache.sizes(name)[1],
        }
        for name in cache.arrays
    ]
    summary = {
        "place": cache.path,
        "model": model["name"],
        "weights": model["weights"],
        "dtype": model["dtype"],
        "dataset": cache.fingerprint["dataset"]["name"],
        "input_size": cache.fingerprint["input"]["size"],
        "samples": len(cache),
        "samples_in_all": layout.samples,
        "samples_bad": sum(row.status == "bad" for commit in cache.commits for row in commit.rows),
        "shards": len(cache.commits),
        "shards_in_all": len(layout.shards),
        "bytes": cache.size,
        "fingerprint": cache.digest,
    }
    return {"summary": summary, "points": points}


def make_folder(out: Path) -> None:
    """Makes a folder. Raises `UsageError` where it cannot be made or written, before long work is begun for it."""
    from tempfile import TemporaryFile

    from foresight_cache.errors import UsageError

    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error.strerror or error}; name another folder") from error
