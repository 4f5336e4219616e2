"""The folder of an index as it is written: shards are there whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foresight_cache.errors import FingerprintMismatch, TextIndexError
from foresight_cache.fingerprint import differences, refusal
from foresight_cache.records import canonical_json, with_digest
from foresight_cache.runtime.claims import Claim, claim, exclusive, sweep
from foresight_cache.runtime.durable_files import make_folder, publish, sync, write_file
from foresight_cache.text_index_files import (
    FORMAT,
    ROOT,
    SUFFIXES,
    VERSION,
    read_root,
    sha256_of,
    shard_name,
    vocabulary_name,
)

if TYPE_CHECKING:
    import torch

_CLAIMS = ".claims"


@dataclass(frozen=True, kw_only=True)
class IndexFolder:
    """An index with what it is made by."""

    path: Path
    fingerprint: Mapping[str, Any]
    layers: Sequence[int]
    width: int
    """Channels."""
    rows: int
    """Rows of each layer."""
    shards: int
    vocabulary: int
    """Shards of the vocabulary; 0 where it is not kept."""

    def create(self) -> None:
        """Makes the folder, or joins it; an index without the vocabulary may get one.

        Raises `FingerprintMismatch` for an index of another model, corpus or setting, and `TextIndexError` for what is
        none.
        """
        if self.path.exists() and not self.path.is_dir():
            raise TextIndexError(f"{self.path} is a file, expected a folder for an index, new or to be continued")
        self._check(read_root(self.path))
        make_folder(self.path)
        with exclusive(self.path / _CLAIMS, ROOT):
            stored = read_root(self.path)
            self._check(stored)
            if not stored or stored["vocabulary"] < self.vocabulary:
                root = {
                    **{"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint, "width": self.width},
                    **{"layers": list(self.layers), "rows": self.rows, "shards": self.shards},
                    "vocabulary": self.vocabulary,
                }
                write_file(self.path / ROOT, canonical_json(with_digest(root)) + b"\n")

    @property
    def names(self) -> list[str]:
        """Names of all shards."""
        return [*map(shard_name, range(self.shards)), *map(vocabulary_name, range(self.vocabulary))]

    def missing(self, names: Iterable[str]) -> list[str]:
        """Returns those of these shards that are not there yet."""
        return [name for name in names if not self._commit(name).exists()]

    def claim(self, name: str) -> Claim | None:
        """Claims a shard for this process; None where another one has it, or where it is there by now."""
        held = claim(self.path / _CLAIMS, name)
        if held and self._commit(name).exists():
            held.release()
            return None
        return held

    def commit(self, held: Claim, tensors: "Mapping[str, torch.Tensor]", columns: Mapping[str, Sequence[Any]]) -> int:
        """Writes the shard that is held, whole or not at all, and returns its bytes."""
        import pyarrow
        import pyarrow.parquet
        from safetensors.torch import save_file

        table, rows = pyarrow.table(dict(columns)), len(next(iter(columns.values())))
        partial = {suffix: held.scratch / f"shard{suffix}" for suffix in SUFFIXES}
        pyarrow.parquet.write_table(table, partial[".parquet"])
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial[".safetensors"])
        body: dict[str, Any] = {
            "rows": rows,
            "bytes": sum(file.stat().st_size for file in partial.values()),
            "digests": {suffix: sha256_of(file) for suffix, file in partial.items()},
        }
        for suffix, file in partial.items():
            sync(file)
            publish(file, self.path / f"{held.name}{suffix}")
        record = canonical_json(with_digest(body)) + b"\n"
        write_file(self._commit(held.name), record, partial=held.scratch / "commit")
        return int(body["bytes"])

    def sweep(self) -> None:
        """Removes what killed processes left."""
        if (self.path / _CLAIMS).is_dir():
            sweep(self.path / _CLAIMS)

    def _commit(self, name: str) -> Path:
        return self.path / f"{name}.json"

    def _check(self, stored: Mapping[str, Any]) -> None:
        if stored and (phrases := differences(stored["fingerprint"], self.fingerprint, "there")):
            raise FingerprintMismatch(
                refusal(phrases, f"{self.path} holds an index of another", "use the same or another --out")
            )
