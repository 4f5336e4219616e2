"""A folder of answers: what they were made by, and a file of lines for each shard, whole or not there.

ANSWERS/answers.json          the fingerprint, and the shards of questions with their digests
ANSWERS/shard-000000.jsonl    a line for each sample of the first shard, in order
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from foresight_cache import records
from foresight_cache.answer_lines import ROOT
from foresight_cache.errors import AnswersError, FingerprintMismatch
from foresight_cache.fingerprint import differences, refusal
from foresight_cache.json_lines import json_lines
from foresight_cache.runtime.claims import Claim, claim, exclusive, held, sweep
from foresight_cache.runtime.durable_files import make_folder, write_file
from foresight_cache.shards import ShardSet

FORMAT, VERSION = "foresight-answers", 1
_CLAIMS = ".claims"


@dataclass(frozen=True)
class AnswerFolder:
    """The answers to the questions of a prepared set, with what they are made by."""

    path: Path
    fingerprint: Mapping[str, Any]
    shards: ShardSet

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the fingerprint, hexadecimal."""
        return records.digest(self.fingerprint)

    def create(self) -> None:
        """Makes the folder, or joins it; it may have fewer shards of the same set.

        Raises `FingerprintMismatch` for answers of another model, prompt or setting, and `AnswersError` for what is no
        folder of answers, or one to the questions of other shards.
        """
        if self.path.exists() and not self.path.is_dir():
            raise AnswersError(f"{self.path} is a file, expected a folder for answers, new or to be continued")
        if self._is_in_use():
            self._check(self._stored())
        make_folder(self.path)
        with exclusive(self.path / _CLAIMS, ROOT):
            stored = self._stored() if self._is_in_use() else {}
            known = self._check(stored)
            if len(known) < len(self._sources) or not stored:
                root = {"format": FORMAT, "version": VERSION, "fingerprint": self.fingerprint, "shards": self._sources}
                write_file(self.path / ROOT, records.canonical_json(root) + b"\n")

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Returns those of these shards that have no answers yet."""
        return [number for number in numbers if not self._file(number).exists()]

    def claim(self, number: int) -> Claim | None:
        """Claims a shard for this process; None where another one has it, or where it is there by now."""
        own = claim(self.path / _CLAIMS, self._file(number).stem)
        if own and self._file(number).exists():
            own.release()
            return None
        return own

    def commit(self, number: int, lines: Sequence[Mapping[str, Any]]) -> int:
        """Writes the lines of a shard, whole or not at all, and returns their bytes."""
        content = json_lines(lines)
        write_file(self._file(number), content)
        return len(content)

    def sweep(self) -> None:
        """Removes what killed processes left."""
        if (self.path / _CLAIMS).is_dir():
            sweep(self.path / _CLAIMS)

    def _is_in_use(self) -> bool:
        """Tells whether it has answers, or may get some; what is left of a call that made none binds nobody."""
        return any(self.path.glob("*.jsonl")) or any(ROOT not in name for name in held(self.path / _CLAIMS))

    @property
    def _sources(self) -> list[dict[str, Any]]:
        return [{"name": own.name, "sha256": own.sha256, "samples": len(own.ids)} for own in self.shards.shards]

    def _file(self, number: int) -> Path:
        return self.path / f"shard-{number:06d}.jsonl"

    def _stored(self) -> dict[str, Any]:
        """Returns what the folder says of itself; nothing where it is new. Raises `AnswersError`."""
        root = self.path / ROOT
        if not root.exists():
            if self.path.is_dir() and any(self.path.glob("*.jsonl")):
                raise AnswersError(f"{self.path} has lines of answers and no {ROOT}; give another --out")
            return {}
        try:
            stored = json.loads(root.read_bytes())
            if stored["format"] != FORMAT or stored["version"] != VERSION:
                raise ValueError(f"it is of {stored['format']!r}, version {stored['version']!r}")
            if not isinstance(stored["fingerprint"], dict) or not isinstance(stored["shards"], list):
                raise ValueError("its fields are of other types")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise AnswersError(
                f"{root} cannot be used ({error}), expected {FORMAT!r}, version {VERSION}; give another --out"
            ) from None
        found: dict[str, Any] = stored
        return found

    def _check(self, stored: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns the shards that were known before."""
        if not stored:
            return []
        if phrases := differences(stored["fingerprint"], self.fingerprint, "there"):
            raise FingerprintMismatch(
                refusal(phrases, f"{self.path} holds answers of another", "use the same or another --out")
            )
        known: list[dict[str, Any]] = stored["shards"]
        own = self._sources
        if any(one != other for one, other in zip(known, own, strict=False)):
            raise AnswersError(
                f"{self.path} holds answers to other shards than those in {self.shards.path}; give another --out"
            )
        return known
