"""What a lens sees in a cache, in a folder: the table of words, a page for each of some samples, and their list."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from foresight_cache.points import PIXELS
from foresight_cache.records import canonical_json, digest
from foresight_cache.runtime.durable_files import write_file
from foresight_cache.runtime.progress import Advance, silent
from foresight_probes.lens.lens_run import LensRun, SampleWords
from foresight_probes.lens.word_table import write_words
from foresight_probes.report.lens_page import lens_list, lens_page

TABLE, RECORD, LIST = "words.parquet", "lens.json", "index.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was found at a point by a lens, of the nearest word of each token."""

    point: str
    lens: str
    tokens: int
    mean: float
    """Mean cosine, or logit."""
    words: int
    """Number of different words."""
    most_frequent: str
    share: float
    """Share of the tokens whose nearest word is the most frequent one: a hub, where it is large."""


@dataclass(slots=True)
class _Count:
    words: Counter[str] = field(default_factory=Counter)
    sum: float = 0.0

    def seen(self, point: str, lens: str) -> Seen:
        tokens = self.words.total()
        # Of equally frequent words the first in the alphabet, so that the order of samples decides nothing.
        word, count = min(self.words.items(), key=lambda each: (-each[1], each[0]))
        return Seen(
            point=point,
            lens=lens,
            tokens=tokens,
            mean=self.sum / tokens,
            words=len(self.words),
            most_frequent=word,
            share=count / tokens,
        )


def write_lens(run: LensRun, out: Path, *, pages: int, advance: Advance = silent) -> list[Seen]:
    """Writes words.parquet, lens.json, index.html and `pages` pages at most into a folder that is there.

    Raises what `LensRun.each` raises.
    """
    counts = {(point, lens): _Count() for point in run.points for lens in run.lenses}
    listed: list[tuple[str, str]] = []
    for sample in write_words(run.each(advance), out / TABLE):
        _count(sample, counts)
        if len(listed) < pages:
            address = f"pages/{sample.number:06d}.html"
            (out / "pages").mkdir(exist_ok=True)
            pixels_THWC = run.cache[PIXELS].grid(sample.number)
            write_file(out / address, lens_page(sample, pixels_THWC, _under(run)).encode(), durable=False)
            listed.append((address, sample.id))
    found = [count.seen(point, lens) for (point, lens), count in counts.items()]
    rows = [asdict(each) for each in found]
    write_file(out / LIST, lens_list(listed, _under(run), rows).encode(), durable=False)
    write_file(out / RECORD, canonical_json(_record(run, rows)) + b"\n", durable=False)
    return found


def _count(sample: SampleWords, counts: dict[tuple[str, str], _Count]) -> None:
    for place, found in sample.words.items():
        counts[place].words.update(found.columns["token"][:, 0].tolist())
        counts[place].sum += float(found.values_QK[:, 0].sum(dtype=float))


def _record(run: LensRun, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        **{"cache": run.cache.digest, "index": digest(run.index.fingerprint), "samples": len(run.numbers)},
        **{"points": list(run.points), "lenses": list(run.lenses), "top": run.top, "seen": rows},
        "layers": list(run.index.layers),
    }


def _under(run: LensRun) -> str:
    model = run.cache.fingerprint["model"].get("name", "")
    layers = ", ".join(map(str, run.index.layers))
    return f"{model}; an index of {run.index.rows:,} rows in each of the layers {layers}"
