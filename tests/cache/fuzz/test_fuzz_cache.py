"""Distorted records of a cache, damaged or written by a hostile program: refused in a sentence, or harmless.

"As it was sealed" stands for accidents: what is read must then be what was written. "Sealed again" stands for a
program that wrote something else and sealed it well: that may lie, but not crash a reader or leave the folder.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache import Cache, open_cache
from foresight_cache.errors import BadSample, CorruptCache, FingerprintMismatch, ForesightError
from foresight_cache.format.layout import CacheLayout, PointLayout
from foresight_cache.format.shard_object import checksum
from foresight_cache.records import digest, with_digest
from foresight_cache.verify import verify, verify_sample
from tests.support import planted
from tests.support.mutations import damaged, distorted, nested, spelled, substitutions
from tests.support.trial import Trials, generators, put, some

SAMPLES, BAD = 6, (2,)
Contents = dict[str, bytes]
Values = dict[tuple[str, str], bytes]


def plan() -> CacheLayout:
    points = {
        "vit.block_01": PointLayout.fixed("patch", "bfloat16", 24, 10),
        "llm.layer_01": PointLayout.ragged("merged", "float32", 20, 12),
    }
    return planted.plan(points, samples=SAMPLES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A cache of two shards with a quarantined sample, in a folder with a tree around it."""
    folder = tmp_path / "work" / "place" / "C"
    folder.parent.mkdir(parents=True)
    planted.write(folder, plan(), bad=BAD)
    return folder


def contents(root: Path) -> Contents:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def restore(root: Path, whole: Contents) -> None:
    for key, data in contents(root).items():
        if key not in whole:
            (root / key).unlink()
        elif whole[key] != data:
            (root / key).write_bytes(whole[key])
    for key in whole.keys() - contents(root).keys():
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(whole[key])


def read(cache: Cache) -> Values:
    """Everything that the cache gives away; a sample that is not readable may say so."""
    values: Values = {}
    for name in cache.points:
        point = cache[name]
        labelled, bare = point.to_xarray(), point.zarr if cache.complete else None
        for index, row in enumerate(cache.rows):
            values["row", row["id"]] = json.dumps([row["annotations"], row["status"], row["reason"]]).encode()
            try:
                stored = point.stored(index)
            except BadSample:
                continue
            values[name, row["id"]] = stored.tobytes()
            assert stored.shape == (point.grid_of(index).tokens, point.layout.width)
            shown = labelled[index].values.reshape(-1, point.layout.width)[: len(stored)]
            assert np.array_equal(shown, stored.astype(np.float32), equal_nan=True)
            if bare is not None:
                assert np.asarray(bare[index, : len(stored)]).tobytes() == stored.tobytes()
    return values


def used(root: Path) -> Values:
    """All doors of a cache, as a notebook and `foresight inspect` open them."""
    cache = open_cache(root)
    assert repr(cache)
    assert cache._repr_html_()
    assert len(cache.samples) == len(cache)
    assert cache.statistics is not None
    assert cache.size >= 0
    if cache.points:
        cache.select(["vit.*", "E7"])
    return read(cache)


def verified(root: Path) -> list[Any]:
    return verify(open_cache(root))


def sealed_again(record: Any) -> Any:
    """The record with a right digest, and with the digest of its own fingerprint."""
    try:
        if isinstance(record.get("attributes"), dict):
            ours = {name: value for name, value in record["attributes"]["foresight"].items() if name != "sha256"}
            if "fingerprint" in ours:
                ours["fingerprint_sha256"] = digest(ours["fingerprint"])
            return {**record, "attributes": {**record["attributes"], "foresight": with_digest(ours)}}
        return with_digest({name: value for name, value in record.items() if name != "sha256"})
    except (AttributeError, KeyError, ValueError, RecursionError):
        return record


def inputs(text: bytes, seed: int, count: int, again: bool) -> list[tuple[object, bytes]]:
    """Accidents of bytes and of JSON; of a record that is sealed again also every hostile value in many a place."""
    made: list[tuple[object, bytes]] = []
    record = json.loads(text)
    for number, generator in generators(seed, count // 2 if again else count):
        if not again and generator.random() < 0.4:
            made.append((number, damaged(text, generator, text)))
        else:
            changed = distorted(record, generator)
            made.append((number, spelled(sealed_again(changed) if again else changed, generator)))
    if again:
        every = list(substitutions(record))
        generator = random.Random(seed)  # noqa: S311
        made += [
            (label, spelled(sealed_again(changed), generator)) for label, changed in generator.sample(every, count // 2)
        ]
    return made


KEYS = {
    **{"zarr.json": some(900), "samples/000000.json": some(700)},
    **{"vit.block_01/zarr.json": some(150), "samples/zarr.json": some(50)},
}


@pytest.mark.parametrize("again", [False, True], ids=["as it was sealed", "sealed again"])
@pytest.mark.parametrize("key", KEYS)
def test_records_are_read_as_written_or_refused(root: Path, key: str, again: bool) -> None:
    whole = (root / key).read_bytes()
    truth = used(root)
    assert verified(root) == []
    with Trials(root) as trials:
        for label, data in inputs(whole, 6, KEYS[key] // 2, again):
            with put(root / key, data):
                result = trials.run((key, label), lambda: used(root))
                findings = trials.run((key, label), lambda: verified(root))
            if not again and not isinstance(result, ForesightError):
                assert result == truth, f"{key} {label}: read otherwise than it was written"
            if data != whole and not again:
                assert findings or isinstance(findings, ForesightError), f"{key} {label}: verify found nothing"
        trials.assert_nothing_outside_changed()
    assert used(root) == truth
    if "vit" not in key and "samples/z" not in key:
        assert trials.outcomes["CorruptCache"] > KEYS[key] // 4


@pytest.mark.parametrize("again", [False, True], ids=["as it was sealed", "sealed again"])
@pytest.mark.parametrize("key", KEYS)
def test_a_writer_mends_or_refuses_and_stays_inside(root: Path, key: str, again: bool) -> None:
    whole = contents(root)
    with Trials(root) as trials:
        for label, data in inputs(whole[key], 7, KEYS[key] // 4, again):
            (root / key).write_bytes(data)
            before = contents(root)
            result = trials.run((key, label), lambda: planted.write(root, plan(), bad=BAD))
            if isinstance(result, ForesightError):
                assert contents(root) == before, f"{key} {label}: refused, yet something changed"
            elif not again:
                assert contents(root) == whole, f"{key} {label}: neither refused nor mended"
            restore(root, whole)
        trials.assert_nothing_outside_changed()
    assert contents(root) == whole


def test_damaged_objects_are_read_as_written_or_refused(root: Path) -> None:
    truth = used(root)
    donor = (root / "vit.block_01/c/1/0/0").read_bytes()
    with Trials(root) as trials:
        for number, generator in generators(8, some(500)):
            path = root / generator.choice(("vit.block_01", "llm.layer_01")) / "c" / generator.choice("01") / "0" / "0"
            whole = path.read_bytes()
            if again := generator.random() < 0.4:
                data = index_forged(whole, generator)
            else:
                data = damaged(whole, generator, donor)
            with put(path, data):
                result = trials.run(number, lambda: used(root))
                findings = trials.run(number, lambda: verified(root))
                sampled = trials.run(number, lambda: verify_sample(open_cache(root), SAMPLES).findings)
            assert bool(sampled) == isinstance(result, ForesightError), f"object {number}: a sample of all is a read"
            if not again and not isinstance(result, ForesightError):
                assert result == truth, f"object {number} was read otherwise than it was written"
            assert findings or data == whole
        trials.assert_nothing_outside_changed()
    assert trials.outcomes["CorruptCache"] > some(150)


def index_forged(data: bytes, generator: random.Random) -> bytes:
    """Offsets and lengths of a hostile writer, with a right checksum."""
    index = np.frombuffer(data[-4 - 64 : -4], "<u8").copy()
    for _ in range(generator.choice((1, 2))):
        index[generator.randrange(8)] = generator.choice((0, 1, 3, 4, 484, 2**63, 2**64 - 1, 2**64 - 2, 2**64 - 4, 488))
    return data[: -4 - 64] + index.tobytes() + checksum(index.tobytes())


ESCAPES = ("../../canary/planted", "/canary", "..", "samples", "samples/.partial", "zarr.json", "", "a\0b", "x" * 5000)


@pytest.mark.parametrize("name", ESCAPES)
def test_a_point_cannot_be_a_place_elsewhere(root: Path, name: str) -> None:
    """The worst forgery, by hand: a root that is right in all but the name of a point, which becomes a folder."""
    record = json.loads((root / "zarr.json").read_text())
    record["attributes"]["foresight"]["points"][0]["name"] = name
    (root / "zarr.json").write_text(json.dumps(sealed_again(record)))
    before = contents(root)
    with Trials(root) as trials:
        for action in (used, verified, lambda root: planted.write(root, plan(), bad=BAD)):
            refused = trials.run(name, lambda action=action: action(root))
            assert "not a safe name" in str(refused)
        trials.assert_nothing_outside_changed()
    assert contents(root) == before


def _forged(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(ours: dict[str, Any]) -> None:
        ours["points"][0][field] = value

    return change


FORGERIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a width beyond memory": _forged("width", 2**62),
    "tokens beyond memory": _forged("tokens", 2**62),
    "no tokens": _forged("tokens", 0),
    "chunks that do not divide": _forged("tokens_per_chunk", 7),
    "a level that no sample has": _forged("level", "voxel"),
    "a type that numpy lacks": _forged("dtype", "object"),
    "negative samples": lambda ours: ours["shards"][0].update(samples=-4),
    "another size of shard": lambda ours: ours.update(samples_per_shard=3),
    "two tars of one name": lambda ours: ours["shards"][0].update(ours["shards"][1]),
    "a fingerprint that is a list": lambda ours: ours.update(fingerprint=[]),
    "a fingerprint without a model": lambda ours: ours["fingerprint"].pop("model"),
    "a fingerprint without end": lambda ours: ours["fingerprint"].update(more=nested(300)),
}


def test_the_digest_of_another_fingerprint_is_refused(root: Path) -> None:
    record = json.loads((root / "zarr.json").read_text())
    ours = record["attributes"]["foresight"]
    ours["fingerprint_sha256"] = "0" * 64
    ours["sha256"] = digest({name: value for name, value in ours.items() if name != "sha256"})
    (root / "zarr.json").write_text(json.dumps(record))
    with pytest.raises(CorruptCache, match=r"fingerprint_sha256 is not the digest"):
        open_cache(root)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_root_is_refused(root: Path, forgery: str) -> None:
    record = json.loads((root / "zarr.json").read_text())
    FORGERIES[forgery](record["attributes"]["foresight"])
    (root / "zarr.json").write_text(json.dumps(sealed_again(record)))
    with pytest.raises(ForesightError) as caught:
        open_cache(root)
    assert not isinstance(caught.value, FingerprintMismatch)
    assert "zarr.json" in str(caught.value)
