"""The part of a plan that is of GPUs other than this process's own: a row for each, and what the rows rest on."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from foresight_cache.errors import ModelError
from foresight_cache.extraction.planning.cluster_plan import Cluster, ClusterPlan, Work, month_price, request_price

if TYPE_CHECKING:
    from foresight_cache.extraction.cache_plan import CachePlan
    from foresight_cache.extraction.planning.extraction_plan import ExtractionPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterTable:
    """Plans of the same work, for one or several kinds of GPUs."""

    title: str
    cluster: Cluster
    work: Work
    plans: tuple[ClusterPlan, ...]
    origins: tuple[str, ...]
    """What was measured and what assumed, or why there is no plan."""

    @classmethod
    def assumed(cls, plan: "CachePlan", cluster: Cluster) -> Self:
        """Plans from formulas alone, as if nothing were extracted yet. Raises `UsageError` for a size or readout."""
        from foresight_cache.extraction.planning.gpu_rates import all_work

        return cls._of_kinds(plan, all_work(plan), cluster, None)

    @classmethod
    def after_pilot(
        cls, plan: "CachePlan", planned: "ExtractionPlan", cluster: Cluster, load_seconds: float
    ) -> Self | None:
        """Plans from what the pilot measured; from formulas where this machine has no GPU.

        None where nothing is left, and where the pilot itself has said all.
        """
        from foresight_cache.extraction.planning.gpu_rates import gpu_name, measured_rates, origins, work_left

        work, gpu = work_left(planned), gpu_name(plan.encoder)
        if not work.shards or (gpu and not cluster.nodes):
            return None
        if gpu is None:
            return cls._of_kinds(plan, work, cluster, planned)
        rates = measured_rates(plan, planned, gpu, load_seconds)
        if rates is None:
            return cls._of_kinds(plan, work, cluster, planned)
        own = ClusterPlan(cluster=cluster, work=work, rates=rates)
        told = tuple(origins(plan, planned, rates))
        return cls(title=_title(cluster), cluster=cluster, work=work, plans=(own,), origins=told)

    @classmethod
    def _of_kinds(cls, plan: "CachePlan", work: Work, cluster: Cluster, planned: "ExtractionPlan | None") -> Self:
        from foresight_cache.extraction.planning.gpu_rates import assumed_rates, origins

        try:
            rates = assumed_rates(plan, planned)
            told = tuple(origins(plan, planned, rates[0]))
        except ModelError as error:
            rates, told = [], (f"A100, H100 and H200: not known, {error}",)
        plans = tuple(ClusterPlan(cluster=cluster, work=work, rates=own) for own in rates)
        title = f"{_title(cluster)}, none of which was measured here"
        return cls(title=title, cluster=cluster, work=work, plans=plans, origins=told)

    def to_json(self) -> dict[str, Any]:
        """Returns the plans by `gpus`, and what they are of."""
        return {
            "cluster": asdict(self.cluster) | {"gpus": self.cluster.gpus},
            "work": asdict(self.work)
            | {"requests": self.work.requests, "request_price": request_price(self.work)}
            | {"month_price": month_price(self.work)},
            "gpus": [own.to_json() for own in self.plans],
            "warnings": list(self._warnings()),
            "origins": list(self.origins),
        }

    def alone(self) -> list[str]:
        """Returns the lines of a plan that measured nothing."""
        return [
            "<plan from formulas: no model was loaded, and no cache was looked at>",
            f"  samples     {self.work.samples:,} in {self.work.shards:,} shards",
            *self.lines(),
        ]

    def lines(self) -> list[str]:
        """Returns a row for each plan, then requests and money, and what all rests on."""
        from foresight_cache.runtime.progress import format_bytes
        from pipelines.tables import text_table

        price = ("GPUs cost",) if self.cluster.gpu_hour else ()
        head = ("GPU", "of its peak", "computing", "writing", "inputs", "last shards", "in all", "bound by", *price)
        rows = text_table(head, [self._cells(own) for own in self.plans], right=head[2:7])
        work = self.work
        return [
            "",
            f"  {self.title}:",
            *(rows if self.plans else []),
            f"  {format_bytes(work.bytes)}; in an object store {work.requests:,} requests that write "
            f"(${request_price(work):.2f}), and ${month_price(work):,.2f} a month to keep them",
            *(f"  {sentence}" for sentence in (*self._warnings(), *self.origins)),
        ]

    def _cells(self, own: ClusterPlan) -> tuple[str, ...]:
        share, price = own.rates.share, own.gpu_price
        times = (*own.parts.values(), own.last_seconds, own.seconds)
        return (
            own.rates.gpu,
            "measured" if share is None else f"{share:g}",
            *map(rounded_duration, times),
            own.bound_by,
            *([] if price is None else [f"{price:,.2f}"]),
        )

    def _warnings(self) -> tuple[str, ...]:
        return self.plans[0].warnings if self.plans and self.cluster.nodes else ()


def _title(cluster: Cluster) -> str:
    if cluster.nodes is None:
        return "with one process on one GPU"
    nodes = f"{cluster.nodes:,} node{'s' * (cluster.nodes != 1)}"
    gpus = f"{cluster.gpus:,} GPU{'s' * (cluster.gpus != 1)}"
    store = "" if cluster.store_gbps is None else f", {cluster.store_gbps:g} Gb/s into the store"
    return f"with {gpus} on {nodes}{store}"


def rounded_duration(seconds: float) -> str:
    """A duration in one or two units.

    >>> [rounded_duration(seconds) for seconds in (0.42, 59.9, 3599, 7500, 400_000)]
    ['0.4 s', '1 min', '1 h 00 min', '2 h 05 min', '111 h 07 min']
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
