"""Options of an extraction in a line, by the names of their fields."""

from collections.abc import Sequence
from typing import Any

from foresight_cache.extraction.input_size import InputSize
from foresight_cache.extraction.input_spec import InputSpec
from foresight_cache.extraction.options import Execution, ExtractionOptions
from foresight_cache.media.frame_sampling import Sampling
from foresight_cache.points import Point

_EXECUTION = ("batch_tokens", "workers")
_SAMPLING = {"frames": "frames", "frames_per_second": "per_second"}


def extraction_options(points: Sequence[Point], size: str, **fields: Any) -> ExtractionOptions:
    """Returns options with these fields, whichever part of the options has them."""
    execution = Execution(**{name: fields.pop(name) for name in _EXECUTION if name in fields})
    sampling = Sampling(**{field: fields.pop(name) for name, field in _SAMPLING.items() if name in fields})
    inputs = InputSpec(size=InputSize.parse(size), sampling=sampling, **fields)
    return ExtractionOptions(points=tuple(points), inputs=inputs, execution=execution)
