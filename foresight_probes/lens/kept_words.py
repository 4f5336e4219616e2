"""Words of a cache's tokens, looked up once and kept in a folder with what they were made of."""

from dataclasses import dataclass
from pathlib import Path

from foresight_cache.errors import ProbeError
from foresight_cache.records import canonical_json, digest
from foresight_cache.runtime.durable_files import write_file
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.text_index_files import sha256_of
from foresight_probes.lens.image_words import whole_word
from foresight_probes.lens.lens_run import LensRun
from foresight_probes.lens.token_statistics import write_statistics
from foresight_probes.lens.word_table import write_words

TABLE, STATISTICS, INDEXED = "words.parquet", "statistics.parquet", "index_words.txt"
FILES = (TABLE, STATISTICS, INDEXED)
RECORD = "words.json"
"""What the files were made of, with their digests; written last."""
VERSION = 2
"""Raised where the same words would be written otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WordPlan:
    """Words that are to be looked up, and points whose tokens are measured beside them."""

    run: LensRun
    text: tuple[str, ...] = ()
    """Points of the words of the prompt, whose lengths stand beside those of visual tokens."""

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides what is written, hexadecimal."""
        run = self.run
        return digest(
            {
                **{"version": VERSION, "cache": run.cache.digest, "index": digest(run.index.fingerprint)},
                **{"points": list(run.points), "text": list(self.text), "lenses": list(run.lenses)},
                **{"top": run.top, "samples": [run.cache.rows[number]["id"] for number in run.numbers]},
            }
        )

    def is_kept(self, folder: Path) -> bool:
        """Returns whether a folder has these words, as they were written."""
        record = folder / RECORD
        if not record.exists() or not all((folder / name).exists() for name in FILES):
            return False
        return record.read_bytes() == self._record(folder)

    def keep(self, folder: Path, advance: Advance = silent) -> None:
        """Writes the table of words and that of lengths where they are not there; the record last.

        Raises what `LensRun.each` raises, and `ProbeError` where the folder cannot be written.
        """
        if self.is_kept(folder):
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / RECORD).unlink(missing_ok=True)
            for _ in write_words(self.run.each(advance), folder / TABLE):
                pass
            points = (*self.run.points, *self.text)
            write_statistics(self.run.cache, self.run.numbers, points, folder / STATISTICS)
            write_file(folder / INDEXED, "".join(f"{word}\n" for word in sorted(self._indexed())).encode())
            write_file(folder / RECORD, self._record(folder))
        except OSError as error:
            raise ProbeError(f"cannot write words to {folder}: {error.strerror or error}") from error

    def _indexed(self) -> set[str]:
        """Returns the words that the index has in contexts."""
        tables = (shard.table(range(shard.rows)) for shard in self.run.index.shards)
        pairs = {pair for table in tables for pair in zip(table["token"], table["phrase"], strict=True)}
        return {whole_word(token, phrase) for token, phrase in pairs}

    def _record(self, folder: Path) -> bytes:
        digests = {name: sha256_of(folder / name) for name in FILES}
        return canonical_json({"identity": self.identity, "samples": len(self.run.numbers), **digests}) + b"\n"
