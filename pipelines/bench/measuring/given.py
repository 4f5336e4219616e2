"""What a user gives a benchmark to measure with instead of what it makes itself."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A model and a prepared dataset of the user's own."""

    model: str | None = None
    """Hugging Face id or local directory; None for a model of the benchmark's own."""
    shards: Path | None = None
    """Folder that 'foresight prepare' wrote; None for samples of the benchmark's own."""
