"""Finds the samples in a tar of the WebDataset convention: members that share a key, and what each of them is.

Keys are those of the `webdataset` package: a member's name up to the first dot of its last part. Its decoders, which
unpickle, are never used: media stay bytes, and of the rest only text is read.
"""

import json
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from webdataset.tariterators import base_plus_ext

from foresight_cache.datasets.file_parts import FilePart
from foresight_cache.datasets.inventory import DATA_KINDS
from foresight_cache.datasets.parts.file_kinds import is_hidden, is_media, kind_of_unused, suffix_of
from foresight_cache.datasets.parts.tar_members import TarMember, members_of
from foresight_cache.errors import BadSample, DatasetError
from foresight_cache.records import is_text, shown
from foresight_cache.samples import Media
from foresight_cache.shards.members import LABELS

_LONGEST = 1 << 20
"""Largest number of bytes of a member that is read as text."""
_CAPTION, _RECORD, _CLASS = "txt", "json", "cls"
"""Suffixes of members that are read as text."""
_CAPTIONS = ("caption", "captions")
"""Fields of a sample's JSON that are taken; img2dataset writes the first."""
_PREPARED = {"schema", "annotations", "dataset"}
"""Fields of the JSON in a tar that this project wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TarSample:
    """Members of a tar that share a key."""

    tar: str
    """Path of the tar below the root."""
    key: str
    media: FilePart | None = None
    """None where there is a problem."""
    captions: tuple[str, ...] | None = None
    """None where nothing could say any."""
    class_text: str | None = None
    """Number or name of its class."""
    problem: str | None = None
    """Clause that says why it cannot be used."""
    files: int
    """Number of its members, but for those that are passed over."""


class ScannedTar(NamedTuple):
    """What a tar holds."""

    samples: list[TarSample]
    passed_over: list[tuple[str, str]]
    """Kind and path, below the root, of each member that is passed over."""


class _Sorted(NamedTuple):
    """Members of one key by what they are."""

    media: TarMember
    texts: dict[str, TarMember]
    passed_over: list[tuple[str, TarMember]]


def scan_tar(root: Path, tar: str, media: Media) -> ScannedTar:
    """Returns the samples of a tar whose media are of this kind. Raises `DatasetError`."""
    samples: list[TarSample] = []
    passed_over: list[tuple[str, str]] = []
    for key, members in groupby(members_of(root / tar), lambda member: _key_of(member.name)):
        group = list(members)
        if key is None:
            passed_over += [(_kind_of_stray(each.name, media), f"{tar}/{_clean(each.name)}") for each in group]
            continue
        try:
            sample, over = _sample(tar, key, group, media)
        except BadSample as error:
            sample, over = TarSample(tar=tar, key=key, problem=str(error), files=len(group)), []
        samples += [sample] if sample else []
        passed_over += [(kind, f"{tar}/{_clean(member.name)}") for kind, member in over]
    return ScannedTar(list(_marked(samples)), passed_over)


def _clean(name: str) -> str:
    """Returns the path of a member without what leads nowhere.

    >>> _clean("./a//b.jpg"), _clean("/a/../b.jpg"), _clean("../b.jpg")
    ('a/b.jpg', 'b.jpg', '../b.jpg')
    """
    return posixpath.normpath(name).lstrip("/")


def _key_of(name: str) -> str | None:
    """Returns the key of a member; None for one that is hidden or has none."""
    clean = _clean(name)
    if any(is_hidden(part) for part in clean.split("/") if part != ".."):
        return None
    key: str | None = base_plus_ext(clean)[0]
    return key


def _kind_of_stray(name: str, media: Media) -> str:
    """Returns the kind under which a member without a key is passed over."""
    if any(map(is_hidden, _clean(name).split("/"))):
        return "hidden"
    return kind_of_unused(name, media, listed=False)


def _marked(samples: list[TarSample]) -> Iterator[TarSample]:
    """Yields each sample once; one whose members do not stand together has that as its problem."""
    times = Counter(sample.key for sample in samples)
    files: Counter[str] = Counter()
    for sample in samples:
        files[sample.key] += sample.files
    seen: set[str] = set()
    for sample in samples:
        if times[sample.key] == 1:
            yield sample
        elif sample.key not in seen:
            seen.add(sample.key)
            problem = (
                f"its members stand in {times[sample.key]} places of the tar, which readers take for so many samples; "
                "pack the tar in order of names"
            )
            yield replace(sample, media=None, problem=problem, files=files[sample.key])


def _sample(
    tar: str, key: str, members: Sequence[TarMember], media: Media
) -> tuple[TarSample | None, list[tuple[str, TarMember]]]:
    """Returns the sample of members of one key, and the ones that are passed over with their kinds.

    There is no sample where nothing but media of other kinds is there. Raises `BadSample`.
    """
    if ".." in key.split("/") or not is_text(key) or not key.isprintable():
        raise BadSample(f"its key {key!a} is no plain path; rename it")
    by_suffix: dict[str, TarMember] = {}
    for member in members:
        suffix = str(base_plus_ext(_clean(member.name))[1]).lower()
        if suffix in by_suffix:
            raise BadSample(f"the tar has two members {_clean(member.name)!a}; which one is meant is unknown")
        by_suffix[suffix] = member
    parts = _sorted(by_suffix, media)
    if parts is None:
        return None, [(_kind(suffix, media), member) for suffix, member in by_suffix.items()]
    if parts.media.content is None:
        raise BadSample(f"its member {parts.media.name!a} is a link or a sparse file; pack the file itself")
    texts = {suffix: _text(suffix, member) for suffix, member in parts.texts.items()}
    sample = TarSample(
        tar=tar,
        key=key,
        media=parts.media.content,
        captions=_captions(texts, tar, key),
        class_text=_class_text(texts),
        files=1 + len(texts),
    )
    return sample, parts.passed_over


def _sorted(by_suffix: dict[str, TarMember], media: Media) -> _Sorted | None:
    """Returns members by what they are; None where media of other kinds are all that is there. Raises `BadSample`."""
    candidates = [suffix for suffix in by_suffix if is_media(f"a.{suffix}", media) and not suffix.endswith(LABELS)]
    plain = [suffix for suffix in candidates if "." not in suffix]
    chosen = plain or candidates
    texts = {suffix: member for suffix, member in by_suffix.items() if suffix in (_CAPTION, _RECORD, _CLASS)}
    if not chosen:
        if any(_kind(suffix, media) in DATA_KINDS for suffix in by_suffix):
            return None
        raise BadSample(f"it has no {media}; its members are {', '.join(sorted(by_suffix))}")
    if len(chosen) > 1:
        raise BadSample(f"it has several {media}s, {', '.join(sorted(chosen))}, so that which one is meant is unknown")
    rest = [(suffix, member) for suffix, member in by_suffix.items() if suffix != chosen[0] and suffix not in texts]
    return _Sorted(by_suffix[chosen[0]], texts, [(_kind(suffix, media), member) for suffix, member in rest])


def _kind(suffix: str, media: Media) -> str:
    """Returns the kind under which a member of a sample is passed over."""
    text = suffix == _CLASS or suffix_of(f"a.{suffix}") in (".txt", ".json", ".csv", ".tsv", ".jsonl")
    return "text" if text else kind_of_unused(f"a.{suffix}", media, listed=False)


def _text(suffix: str, member: TarMember) -> str:
    if member.content is None or member.content.size > _LONGEST:
        size = "no bytes of its own" if member.content is None else f"{member.content.size:,} bytes"
        raise BadSample(f"its {suffix} has {size}, expected at most {_LONGEST:,}")
    try:
        text = member.content.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadSample(f"its {suffix} is not UTF-8 text (byte {error.start})") from None
    return text.strip()


def _captions(texts: dict[str, str], tar: str, key: str) -> tuple[str, ...] | None:
    """Returns the captions of text and JSON, each once and none that is empty; None where neither can say any.

    Raises `BadSample`, and `DatasetError` for the JSON of a prepared tar.
    """
    if _CAPTION not in texts and _RECORD not in texts:
        return None
    record = _record(texts[_RECORD], tar, key) if _RECORD in texts else {}
    found = [texts[_CAPTION]] if _CAPTION in texts else []
    for name in _CAPTIONS:
        value = record.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(map(is_text, values)):
            raise BadSample(f"its json has {name} {shown(value)}, expected a text or a list of texts")
        found += [text.strip() for text in values]
    if _CAPTION not in texts and not record.keys() & set(_CAPTIONS):
        return None
    return tuple(dict.fromkeys(text for text in found if text))


def _record(text: str, tar: str, key: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadSample(f"its json cannot be read: {error}") from None
    if not isinstance(record, dict):
        raise BadSample(f"its json is {shown(record)}, expected an object")
    if record.keys() >= _PREPARED:
        raise DatasetError(
            f"{tar} is a tar that foresight prepare wrote, which needs no preparing; give its folder to "
            "foresight extract"
        )
    own = record.get("key")
    if isinstance(own, str) and own.isdigit() and key.rpartition("/")[2].isdigit() and own != key.rpartition("/")[2]:
        raise BadSample(f"its json is of the key {own!a}, its members of {key!a}; pack what belongs together")
    return record


def _class_text(texts: dict[str, str]) -> str | None:
    text = texts.get(_CLASS)
    if text == "":
        raise BadSample("its cls is empty, expected the number or the name of a class")
    return text
