"""The whole comparison: caches, probes, and the table of factors; parts are made beside each other."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import active_children, get_context

import torch

from foresight_cache.errors import Interrupted
from foresight_cache.runtime.durable_files import make_folder, write_file
from foresight_cache.runtime.interruption import end_with_parent
from foresight_cache.runtime.progress import Advance, silent
from pipelines.discrepancy.figure import draw
from pipelines.discrepancy.parts import LONGEST_FIRST, PARTS, Request
from pipelines.discrepancy.readings import Reading, Row, rows_of
from pipelines.discrepancy.steps import Share, shares_of
from pipelines.discrepancy.table import to_csv, to_markdown


@dataclass(frozen=True, slots=True)
class Factors:
    """What was found."""

    rows: tuple[Row, ...]
    shares: tuple[Share, ...]


def compare(request: Request, workers: int, advance: Advance = silent, parts: Sequence[str] = LONGEST_FIRST) -> Factors:
    """Makes all parts in so many processes and writes `factors.csv`, `.md`, `.png` and `.svg`.

    Caches and what the product trains are kept, so that the same call goes on after an interruption. `advance` is
    called for each part. Raises `ModelError`, `ProbeError` and `Interrupted`.
    """
    request.many.check()
    for cache in (request.many, request.one):
        cache.prepare(request.out, silent)  # two parts read the same scenes, and would draw them both
    found = _made(request, workers, advance, parts)
    readings = [reading for name in PARTS for reading in found.get(name, ())]
    factors = Factors(tuple(rows_of(readings)), tuple(shares_of(readings)))
    make_folder(request.out)
    stem = request.out / "factors"
    texts = {".csv": to_csv(factors.rows), ".md": to_markdown(factors.rows, factors.shares)}
    for suffix, text in texts.items():
        path = stem.with_suffix(suffix)
        write_file(path, text.encode(), partial=path.with_suffix(f"{suffix}.partial"))
    draw(factors.rows, stem)
    return factors


def _made(request: Request, workers: int, advance: Advance, parts: Sequence[str]) -> Mapping[str, list[Reading]]:
    context = get_context("spawn")  # a forked process cannot use torch's threads
    with ProcessPoolExecutor(workers, context, initializer=_begin) as pool:
        futures = {pool.submit(_part, request, name): name for name in parts}
        try:
            for _ in as_completed(futures):
                advance(1, 0)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.kill()  # caches and runs that are finished are written
            raise Interrupted("interrupted; finished caches and runs are kept, run it again to go on") from None
        return {name: future.result() for future, name in futures.items()}


def _begin() -> None:
    end_with_parent()
    torch.set_num_threads(1)


def _part(request: Request, name: str) -> list[Reading]:
    return PARTS[name](request)
