"""The spatial frequencies that reconstructions keep, and from which on they are lost, by point."""

from dataclasses import replace

from foresight_cache.errors import ProbeError
from foresight_cache.points import PIXELS
from foresight_probes.predictions.kept_run import Predicted
from foresight_probes.predictions.shown import reconstruction
from foresight_probes.predictions.spectra import EDGES, KEPT, band_energies, centres, kept, lost_from
from foresight_probes.results.scores import SampleScore
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import sections
from foresight_probes.studies.derived_metrics import intervals
from foresight_probes.studies.evidence import Evidence
from foresight_probes.studies.parts import Cell, Lines, Part, Series, Table, of_runs
from foresight_probes.studies.pictured import PointRun, evenly_tested, over_measures, pictured, predictions
from foresight_probes.studies.study import SectionRequest

TASKS = ("reconstruction",)
SAMPLES = 32
"""Test samples that are drawn at each point where a file has no number."""
HALF = 0.5
"""Share of the energy under which a band counts as lost."""


class Section(sections.Section):
    """Each of `measures`, of reconstructions, says which runs are looked into, on so many `samples` of those tested."""

    needs = ("measures", "points")
    takes = ("samples",)

    def parts(self, evidence: Evidence, request: SectionRequest) -> list[Part]:
        """Returns a figure and a table for each measure. Raises `ProbeError` where there is no run."""
        return over_measures(request, lambda name: _parts(evidence, request, name))


def _parts(evidence: Evidence, request: SectionRequest, name: str) -> list[Part]:
    own, samples = pictured(evidence, name, request.points, TASKS), request.samples or SAMPLES
    shares = {run.point: _shares(run, samples) for run in own.runs}
    series = tuple(
        Series(name=point, places=tuple(centres()[band] for band in bands), values=tuple(bands.values()))
        for point, bands in shares.items()
    )
    note = (
        "The share of the original's energy that the reconstruction keeps in each band of frequencies: 1 less the "
        "energy of the error over that of the original, of the luminance; below 0 it adds more than there was. Of "
        f"{min(samples, len(own.runs[0].result.scores))} test samples, with intervals over their groups. {own.note}"
    )
    figure = Lines(
        title="Energy of reconstructions by frequency",
        across="frequency in cycles per pixel",
        up="share of energy kept",
        series=series,
        is_log=True,
        limit=HALF,
        note=note.strip(),
    )
    return [figure, _table(own.runs, shares)]


def _shares(run: PointRun, samples: int) -> dict[int, Interval]:
    """Returns the share that is kept in each band that has any energy."""
    ids = evenly_tested(run.result, samples)
    groups = {score.id: score.group for score in run.result.scores}
    energies = {own.sample["id"]: _energies(own) for own in predictions(run, ids)}
    if not energies:
        raise ProbeError(f"no test sample is drawn at {run.point}")
    scores = tuple(SampleScore(name, groups[name], energies[name]) for name in sorted(energies))
    found = intervals(replace(run.result, scores_source=scores), kept)
    return {int(name.removeprefix(KEPT)): interval for name, interval in found.items()}


def _energies(own: Predicted) -> tuple[float, ...]:
    """Returns the energies of the bands, those of a clip's frames together."""
    frames = zip(*reconstruction(own), strict=True)
    total = sum(band_energies(found, truth) for found, truth in frames)
    return tuple(map(float, total.reshape(-1)))  # type: ignore[union-attr]


def _table(runs: tuple[PointRun, ...], shares: dict[str, dict[int, Interval]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        bands = {band: interval.value for band, interval in shares[run.point].items()}
        limit = lost_from(bands, EDGES, HALF)
        first = next(row for row, sample in enumerate(run.cache.rows) if sample["id"] == run.result.scores[0].id)
        of_grid = 0.5 * run.cache[run.point].grid_of(first).h / run.cache[PIXELS].grid_of(first).h
        lost = (limit if limit is not None else "none is lost", 1 / limit if limit else None)
        highest = of_runs(bands[max(bands)], run.result)
        rows.append((run.point, *(of_runs(value, run.result) for value in lost), of_grid, highest))
    columns = ("point", "lost above, cycles per pixel", "pixels per cycle", "limit of the grid", "kept at the highest")
    note = (
        "Above this frequency every band keeps less than half. The limit of the grid is half a cycle per token, what "
        "one number for each token could tell."
    )
    return Table(columns=columns, rows=tuple(rows), note=note)
