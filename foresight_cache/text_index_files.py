"""The files of an index of text embeddings, as they are read.

INDEX/index.json                     what it was made by, its layers, the number of its shards
INDEX/shard-000000.safetensors       `layer_04` … [rows, channels], bfloat16: a row is one token of a phrase
INDEX/shard-000000.parquet           a row for each: token, token_id, phrase, position
INDEX/shard-000000.json              its commit, written last: rows, and the files' bytes and digests
INDEX/vocabulary-000000.*            the same for the model's vocabulary: `embedding` and `head`, in its own type
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from foresight_cache.errors import TextIndexError
from foresight_cache.records import JsonObject, checked_digest, parse_json

if TYPE_CHECKING:
    import torch

FORMAT, VERSION, ROOT = "foresight-text-index", 1, "index.json"
NUMBERING = "hidden_states"
"""How layers are numbered: 0 are the embeddings, K is the output of block K, which is the tap `llm.layer_K`."""
SUFFIXES = (".parquet", ".safetensors")
"""Files of a shard beside its commit."""
COLUMNS = ("token", "token_id", "phrase", "position")
"""Columns of the table of a shard."""
FINAL_NORM, EPSILON = "final_norm", "final_norm_epsilon"
"""Tensors in the first shard of the vocabulary: the norm before the head as a factor of each channel, and its ε."""


def shard_name(number: int) -> str:
    """Returns the name of a shard's files, without a suffix."""
    return f"shard-{number:06d}"


def vocabulary_name(number: int) -> str:
    """Returns the name of the files of a shard of the vocabulary, without a suffix."""
    return f"vocabulary-{number:06d}"


def layer_name(layer: int) -> str:
    """Returns the name of a layer's tensor.

    >>> layer_name(4)
    'layer_04'
    """
    return f"layer_{layer:02d}"


def read_root(path: Path) -> dict[str, Any]:
    """Returns what an index says of itself; nothing where there is none yet. Raises `TextIndexError`."""
    root = path / ROOT
    if not root.exists():
        if path.is_dir() and any(path.glob("*.safetensors")):
            raise TextIndexError(f"{path} has shards and no {ROOT}; name another folder")
        return {}
    try:
        record = parse_json(root.read_bytes())
        if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("version") != VERSION:
            raise ValueError(f"is no {FORMAT!r} of version {VERSION}")
        record = checked_digest(record)
        fields = JsonObject.of(record, "index")
        fields.inner("fingerprint")
        for name, least in {"rows": 1, "shards": 1, "vocabulary": 0, "width": 1}.items():
            fields.integer(name, least)
        layers = record.get("layers")
        if not isinstance(layers, list) or not layers or any(type(each) is not int for each in layers):
            raise ValueError("has no layers")
    except (ValueError, OSError) as error:
        raise TextIndexError(f"{root} {error}; make the index again in another folder") from None
    found: dict[str, Any] = record
    return found


def open_index(path: Path) -> "TextIndex":
    """Opens an index that is whole. Raises `TextIndexError`."""
    if (path / "embeddings_cache.pt").exists() or any(path.glob("*/embeddings_cache.pt")):
        raise TextIndexError(
            f"{path} is a published index of pickles; see 'foresight lens import --help' on how to read it"
        )
    root = read_root(path)
    if not root:
        raise TextIndexError(f"{path} holds no index: it has no {ROOT}; make one with 'foresight lens index'")
    index = TextIndex(path, root)
    names = [*map(shard_name, range(root["shards"])), *map(vocabulary_name, range(root["vocabulary"]))]
    missing = [name for name in names if not (path / f"{name}.json").exists()]
    if missing:
        raise TextIndexError(
            f"{path} is half written: {len(missing)} of its {len(names)} shards are missing, such as {missing[0]}; run "
            "the same 'foresight lens index' again"
        )
    return index


class TextIndex:
    """An index, whose shards are read one by one."""

    def __init__(self, path: Path, root: Mapping[str, Any]) -> None:
        self.path, self.fingerprint = path, dict(root["fingerprint"])
        self.layers: tuple[int, ...] = tuple(root["layers"])
        """Layers, counted as `NUMBERING` says."""
        self.rows: int = root["rows"]
        """Rows of each layer."""
        self.width: int = root["width"]
        """Channels."""
        self._shards, self._vocabulary = root["shards"], root["vocabulary"]
        self._checked: set[str] = set()

    @property
    def shards(self) -> "Shards":
        """The shards of contextual embeddings, in order. Raises `TextIndexError` as `shard` does."""
        return Shards(self, shard_name, self._shards)

    @property
    def vocabulary(self) -> "Shards":
        """The shards of the vocabulary, in order; none where it was not kept."""
        return Shards(self, vocabulary_name, self._vocabulary)

    @property
    def has_vocabulary(self) -> bool:
        """True where input embeddings, final norm and head are there."""
        return bool(self._vocabulary)

    @cached_property
    def final_norm(self) -> "tuple[torch.Tensor, float]":
        """Factors of the final norm, float32 [D], and its ε."""
        first = self.shard(vocabulary_name(0))
        return first.tensor(FINAL_NORM).float(), float(first.tensor(EPSILON)[0])

    def shard(self, name: str) -> "Shard":
        """Returns a shard; its files' digests are compared with its commit when it is first read.

        Raises `TextIndexError` where they differ.
        """
        commit = read_commit(self.path / f"{name}.json")
        if name not in self._checked:
            for suffix in SUFFIXES:
                file = self.path / f"{name}{suffix}"
                if not file.exists() or sha256_of(file) != commit["digests"][suffix]:
                    raise TextIndexError(
                        f"{file} is not what was written: its digest differs from {name}.json; remove {name}.json and "
                        "run the same 'foresight lens index' again"
                    )
            self._checked.add(name)
        return Shard(self.path / name, commit["rows"])


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard, whose tensors and table are read when they are asked for."""

    stem: Path
    rows: int

    def tensor(self, name: str) -> "torch.Tensor":
        """Returns one tensor, in the stored type. Raises `TextIndexError` where there is none of that name."""
        from safetensors import SafetensorError, safe_open

        path = self.stem.with_name(f"{self.stem.name}.safetensors")
        try:
            with safe_open(path, "pt") as file:
                found: torch.Tensor = file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise TextIndexError(f"{path} cannot be read ({error}); make the index again in another folder") from None
        return found

    def table(self, rows: Sequence[int]) -> dict[str, list[Any]]:
        """Returns the columns of these rows, as far as the table has them."""
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(self.stem.with_name(f"{self.stem.name}.parquet"))
        found: dict[str, list[Any]] = table.take(list(rows)).to_pydict()
        return found


class Shards(Sequence["Shard"]):
    """Shards of one kind, each opened when it is asked for."""

    def __init__(self, index: TextIndex, name: Callable[[int], str], count: int) -> None:
        self._index, self._name, self._count = index, name, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> Shard: ...

    @overload
    def __getitem__(self, number: slice) -> list[Shard]: ...

    def __getitem__(self, number: int | slice) -> Shard | list[Shard]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(self._count))]
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self._index.shard(self._name(number))


def read_commit(path: Path) -> dict[str, Any]:
    """Returns the commit of a shard. Raises `TextIndexError`."""
    try:
        record = checked_digest(parse_json(path.read_bytes()))
        fields = JsonObject.of(record, "commit")
        fields.integer("rows", 1)
        digests = fields.inner("digests", SUFFIXES)
        for suffix in SUFFIXES:
            digests.digest(suffix)
    except (ValueError, OSError) as error:
        raise TextIndexError(f"{path} {error}; remove it and run the same 'foresight lens index' again") from None
    return record


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
