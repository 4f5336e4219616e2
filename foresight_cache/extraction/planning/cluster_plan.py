"""Wall time, requests and money of an extraction on many GPUs, from rates of one process.

Computing, writing and making inputs overlap, so that the slowest of them decides. Whoever has no shard left waits for
the last ones, which is why many GPUs and few shards do not go together.
"""

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from foresight_cache.errors import UsageError
from foresight_cache.option_help import Flag

HASH_RATE = 2 * 0.4e9
"""Bytes in a second that one process is taken to write: SHA-256 without a processor's own instructions for it does
some 0.4 GB/s per core, and a process has two cores for it."""
INPUTS_PER_THREAD = 105.0
"""Images in a second that a thread decodes and preprocesses (448 × 448 from JPEG, `docs/performance.md`)."""
LOAD_SECONDS = 60.0
"""Seconds in which a process is taken to start and to load its model."""
REQUEST_PRICE, GB_MONTH_PRICE = 5e-6, 0.023
"""Dollars that S3 takes for a writing request and for a GB in a month, of its standard class in the United States."""
FEW_SHARDS = 4
"""Shards for each GPU below which the last ones weigh much."""
_CLAIM_REQUESTS = 2
"""Writing requests of a claim on a shard: to take it and, on average, to renew it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The machines that a plan is for; without `nodes`, one process."""

    nodes: Annotated[int | None, Flag(help="Plan for so many machines.", unset="one process")] = None
    gpus_per_node: Annotated[
        int | None, Flag(help="GPUs of each of the --nodes.", unset="1 where --nodes is given")
    ] = None
    store_gbps: Annotated[
        float | None,
        Flag(help="Gigabits per second that the store takes of all nodes together.", unset="no bound"),
    ] = None
    gpu_hour: Annotated[float | None, Flag(help="Price of a GPU for an hour.", unset="no costs of GPUs")] = None

    def __post_init__(self) -> None:
        """Raises `UsageError`."""
        for name in ("nodes", "gpus_per_node", "store_gbps", "gpu_hour"):
            value = getattr(self, name)
            flag = f"--{name.replace('_', '-')}"
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{flag} is {value}, expected a number above 0")
            if value is not None and self.nodes is None:
                raise UsageError(f"{flag} says something of a cluster; give --nodes as well, 1 for this machine alone")

    @property
    def gpus(self) -> int:
        """All GPUs, each with a process of its own."""
        return (self.nodes or 1) * (self.gpus_per_node or 1)

    @property
    def store_bytes_per_second(self) -> float:
        """Bytes that the store takes in a second; infinite where nothing was said of it."""
        return math.inf if self.store_gbps is None else self.store_gbps * 1e9 / 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What there is to do."""

    samples: int
    shards: int
    arrays: int
    """Objects of each shard: points, labels and pixels."""
    bytes: int

    @property
    def requests(self) -> int:
        """Writing requests to an object store: each shard's objects, its commit and its claim."""
        return self.shards * (self.arrays + 1 + _CLAIM_REQUESTS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Rates of one process with one GPU, each without the others in its way."""

    gpu: str
    """Name of the GPU."""
    share: float | None = None
    """Share of its peak that is assumed; None where it was measured."""
    samples_per_second: float
    """Samples that the model computes; infinite where nothing is left to compute."""
    write_bytes_per_second: float
    """Bytes that are hashed, compressed and written."""
    inputs_per_second: float
    """Samples that are decoded and preprocessed, by all threads of the process."""
    load_seconds: float = LOAD_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterPlan:
    """How long the work takes on a cluster whose processes all have the same rates."""

    cluster: Cluster
    work: Work
    rates: Rates

    @property
    def useful_gpus(self) -> int:
        """GPUs that have something to do: a shard is one process's."""
        return max(1, min(self.cluster.gpus, self.work.shards))

    @property
    def parts(self) -> dict[str, float]:
        """Seconds that computing, writing and making inputs would each take alone, on all useful GPUs."""
        gpus, rates = self.useful_gpus, self.rates
        written = min(gpus * rates.write_bytes_per_second, self.cluster.store_bytes_per_second)
        return {
            "computing": self.work.samples / (gpus * rates.samples_per_second),
            "writing": self.work.bytes / written,
            "inputs": self.work.samples / (gpus * rates.inputs_per_second),
        }

    @property
    def bound_by(self) -> str:
        """Says which of the parts binds, of writing whether the store does or the processes; or that loading does."""
        parts = self.parts | {"loading": self.rates.load_seconds}
        slowest = max(parts, key=lambda part: parts[part])
        is_store = self.cluster.store_bytes_per_second < self.useful_gpus * self.rates.write_bytes_per_second
        return "the store" if slowest == "writing" and is_store else slowest

    @property
    def last_seconds(self) -> float:
        """Seconds in which only some GPUs have a shard left: with equal shards they go round by round."""
        work, rates, gpus = self.work, self.rates, self.useful_gpus
        if not work.shards:
            return 0.0
        samples, size = work.samples / work.shards, work.bytes / work.shards
        alone = max(
            samples / rates.samples_per_second,
            size / min(rates.write_bytes_per_second, self.cluster.store_bytes_per_second),
            samples / rates.inputs_per_second,
        )
        return (math.ceil(work.shards / gpus) - work.shards / gpus) * alone

    @property
    def seconds(self) -> float:
        """Wall time: loading, the slowest part, and the last shards; 0 where nothing is left."""
        return self.rates.load_seconds + max(self.parts.values()) + self.last_seconds if self.work.shards else 0.0

    @property
    def gpu_hours(self) -> float:
        """Hours of all GPUs, also of those that have nothing to do."""
        return self.seconds * self.cluster.gpus / 3600

    @property
    def gpu_price(self) -> float | None:
        """What the GPUs cost; None without a price."""
        return None if self.cluster.gpu_hour is None else self.gpu_hours * self.cluster.gpu_hour

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wasteful, a sentence each."""
        gpus, shards = self.cluster.gpus, self.work.shards
        if shards and gpus > shards:
            return (f"{gpus - shards:,} of {gpus:,} GPUs have nothing to do: there are {shards:,} shards; "
                    "take fewer, or prepare with a smaller --samples-per-shard",)  # fmt: skip
        if shards and shards < FEW_SHARDS * gpus:
            return (f"there are {shards / gpus:.1f} shards for each GPU, and below {FEW_SHARDS} most wait for the last "
                    "ones; take fewer GPUs, or prepare with a smaller --samples-per-shard",)  # fmt: skip
        return ()

    def to_json(self) -> dict[str, Any]:
        """Returns the rates, and all that follows from them; what is infinite is null."""
        rates = {name: _finite(value) for name, value in asdict(self.rates).items()}
        return {
            "rates": rates,
            "useful_gpus": self.useful_gpus,
            "parts": self.parts,
            "bound_by": self.bound_by,
            "last_seconds": self.last_seconds,
            "seconds": self.seconds,
            "gpu_hours": self.gpu_hours,
            "gpu_price": self.gpu_price,
        }


def request_price(work: Work) -> float:
    """Returns the dollars of all writing requests to S3."""
    return work.requests * REQUEST_PRICE


def month_price(work: Work) -> float:
    """Returns the dollars in which S3 keeps what was written for a month."""
    return work.bytes / 1e9 * GB_MONTH_PRICE


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
