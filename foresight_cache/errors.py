"""Every error that this project raises on purpose.

ForesightError              the text is one sentence for the user: what, where, expected, what to do
├── UsageError              a wrong argument (exit status 2)
│   ├── UnknownName         a name that is not in a list; offers the nearest ones
│   └── NoSuchSample        a number or an id that no sample of a cache has; an `IndexError` too
├── DatasetError            a raw dataset is not as its manifest says
│   └── ManifestError       the manifest itself is wrong; carries the line
├── BadSample               one sample cannot be used; it is quarantined with this reason
│   └── AbsentFiles         its files are not there; of a part of a set it is left out instead
├── ShardError              a prepared shard or its index is missing or damaged
├── ModelError              a model cannot be loaded or is not of the expected architecture
├── FeatureError            the model produced values that no cache should hold
├── CacheError              something about a cache
│   ├── NotACache           there is no cache at this place
│   ├── UnsupportedFormat   the cache was written in another format version
│   ├── FingerprintMismatch the cache was made by another model, input or setting; a line for each field follows
│   └── CorruptCache        bytes on disk are not the bytes that were committed
├── AnswersError            a file of answers or of judgements cannot be used
├── TextIndexError          an index of a model's text embeddings cannot be used
├── ProbeError              a probe cannot be trained or its results cannot be read
├── MissingExtra            an optional package is needed
└── Interrupted             stopped by a signal, can be resumed (exit status 75)
"""

import difflib
from collections.abc import Iterable


class ForesightError(Exception):
    """The base of all deliberate errors; `str(error)` is shown to the user as it is."""

    exit_status = 1


class UsageError(ForesightError):
    exit_status = 2


class UnknownName(UsageError):
    """A name that is not among the known ones.

    >>> str(UnknownName("model family", "qwen2_5vl", ["qwen2_5_vl", "dinov2"]))
    "unknown model family 'qwen2_5vl'; did you mean 'qwen2_5_vl'? Known: dinov2, qwen2_5_vl"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(map(repr, near))}? Known" if near else "; known"
        listed = ", ".join(known[:40]) + (" …" if len(known) > 40 else "")
        super().__init__(f"unknown {kind} {name!r}{hint}: {listed}")


class NoSuchSample(UsageError, IndexError):
    """A number or an id that no sample of a cache has."""


class DatasetError(ForesightError):
    pass


class ManifestError(DatasetError):
    pass


class BadSample(ForesightError):
    """One sample cannot be used; `str(error)` is the reason recorded in the sample table."""


class AbsentFiles(BadSample):
    pass


class ShardError(ForesightError):
    pass


class ModelError(ForesightError):
    pass


class FeatureError(ForesightError):
    pass


class CacheError(ForesightError):
    pass


class NotACache(CacheError):
    pass


class UnsupportedFormat(CacheError):
    pass


class FingerprintMismatch(CacheError):
    pass


class CorruptCache(CacheError):
    pass


class AnswersError(ForesightError):
    pass


class TextIndexError(ForesightError):
    pass


class ProbeError(ForesightError):
    pass


class UndefinedMetric(ProbeError):
    """A metric that is not defined on the samples of a split, as where all have the same answer."""


class MissingExtra(ForesightError):
    """
    >>> str(MissingExtra("obstore", extra="s3", purpose="reading a cache at s3://…"))
    "reading a cache at s3://… needs the package 'obstore'; install it with: pip install 'foresight-cache[s3]'"
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}; install it with: pip install 'foresight-cache[{extra}]'"
        )


class Interrupted(ForesightError):
    exit_status = 75


class ForesightWarning(UserWarning):
    """One sentence on what a person should know while the work goes on."""
