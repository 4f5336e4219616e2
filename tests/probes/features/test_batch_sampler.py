"""Order, memory and processes: every sample once, the same for the same seed, read where it lies, never unverified."""

import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing

from foresight_cache.errors import CacheError, CorruptCache
from foresight_cache.reader import open_cache
from foresight_probes.features.batch_sampler import BUFFERS, BatchLoader, BatchSampler
from foresight_probes.features.datamodule import FeatureData
from foresight_probes.features.sources import open_source, open_sources
from foresight_probes.options import TrainingOptions
from foresight_probes.splits import Split
from tests.support import scenes

SHARDS = [list(range(first, first + 10)) for first in range(0, 100, 10)]
SPLIT = Split(train=tuple(range(64)), validation=tuple(range(64, 80)), test=tuple(range(80, 96)), digest="")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96, ragged=True)


def data(cache: "scenes.Cache", **options: int | str) -> FeatureData:
    chosen = TrainingOptions(**{"batch_size": 6, "shuffle_shards": 1} | options)  # type: ignore[arg-type]
    return FeatureData(open_source(cache, "vit.block_01"), SPLIT, {}, chosen)


class TestOrder:
    def test_each_row_once_in_another_order_each_epoch(self) -> None:
        order = BatchSampler(SHARDS, 7, seed=3, mixed=2)
        first, second = ([row for batch in order.batches(epoch) for row in batch] for epoch in (0, 1))
        assert sorted(first) == sorted(second) == list(range(100))
        assert first != second
        assert first == [row for batch in BatchSampler(SHARDS, 7, seed=3, mixed=2).batches(0) for row in batch]
        assert len(order) == len(order.batches(0)) == 15

    def test_it_reads_from_a_few_shards_at_a_time(self) -> None:
        rows = [row for batch in BatchSampler(SHARDS, 7, seed=0, mixed=2).batches(0) for row in batch]
        for first in range(0, 100, 20):
            assert len({row // 10 for row in rows[first : first + 20]}) == 2
        assert len({row // 10 for row in rows[:10]}) == 2  # and mixes them

    @pytest.mark.parametrize(("rows", "world"), [(100, 3), (7, 2), (2, 3)])
    def test_processes_share_a_pass(self, rows: int, world: int) -> None:
        parts = [
            BatchSampler([list(range(rows))], 4, seed=1, rank=rank, world=world).batches(0) for rank in range(world)
        ]
        assert len({len(part) for part in parts}) == 1
        seen = Counter(row for part in parts for batch in part for row in batch)
        assert seen.keys() == set(range(rows))
        assert sum(seen.values()) - rows < world
        assert sum(seen.values()) == rows or rows % (4 * world) < world
        evaluated = [BatchSampler([list(range(rows))], 4, rank=rank, world=world) for rank in range(world)]
        assert sorted(row for each in evaluated for batch in each.batches(0) for row in batch) == list(range(rows))
        assert [len(each) for each in evaluated] == [len(each.batches(0)) for each in evaluated]

    def test_together_they_see_what_one_with_larger_batches_sees(self) -> None:
        alone = BatchSampler(SHARDS, 8, seed=5, mixed=3).batches(2)
        both = [BatchSampler(SHARDS, 4, seed=5, mixed=3, rank=rank, world=2).batches(2) for rank in (0, 1)]
        assert [a + b for a, b in zip(*both, strict=True)] == alone


def test_an_interrupted_epoch_goes_on(cache: "scenes.Cache") -> None:
    def rows(loader: BatchLoader) -> list[tuple[int, ...]]:
        return [batch.rows for batch in loader]

    whole = data(cache).train_dataloader()
    epochs = [rows(whole) for _ in range(3)]
    broken = data(cache).train_dataloader()
    rows(broken)
    drawn = iter(broken)
    seen = [next(drawn).rows for _ in range(4)]
    state = broken.state_dict()
    resumed = data(cache).train_dataloader()
    resumed.load_state_dict(state)
    assert seen + rows(resumed) == epochs[1]
    assert rows(resumed) == epochs[2]
    finished = data(cache).train_dataloader()
    finished.load_state_dict(whole.state_dict())
    assert rows(finished) == rows(whole)


def test_what_is_read_for_each_batch_is_what_the_cache_holds(cache: "scenes.Cache") -> None:
    """In memory that is used again: a batch is looked at before the next but one is drawn."""
    for batch in data(cache, resident="none").train_dataloader():
        for place, row in enumerate(batch.rows):
            tokens = batch.features.tokens[place].float().numpy()
            expected = cache["vit.block_01"][row]
            np.testing.assert_array_equal(tokens[: len(expected)], expected)
            assert not tokens[len(expected) :].any()


def test_means_over_tokens_are_the_same_bits_however_they_are_kept(cache: "scenes.Cache") -> None:
    ways = []
    for options in ({}, {"resident": "none"}, {"resident_bytes": 0}):
        source = data(cache, **options)
        source.standardization()
        ways.append(source.batch([3, 70, 5]).features.pooled)
    only = FeatureData(open_source(cache, "vit.block_01"), SPLIT, {}, TrainingOptions(), tokens=False)
    only.standardization()
    ways.append(only.batch([3, 70, 5]).features.pooled)
    assert all(torch.equal(way, ways[0]) for way in ways)
    assert only.batch([3, 70, 5]).features.tokens.shape == (3, 1, scenes.WIDTH)


def test_what_is_read_from_the_disk(cache: "scenes.Cache") -> None:
    for tokens, resident, passes in ((True, "host", 1), (True, "none", 3), (False, "auto", 1)):
        options = TrainingOptions(resident=resident)
        source = FeatureData(open_source(cache, "vit.block_01"), SPLIT, {}, options, tokens=tokens)
        source.standardization()
        for _ in range(2):
            for loader in (source.train_dataloader(), source.val_dataloader(), source.test_dataloader()):
                assert len(list(loader)) == len(loader)
        assert source.bytes_read == passes * source.size


def test_memory_does_not_grow_with_the_cache(cache: "scenes.Cache") -> None:
    def peak(rows: int) -> int:
        split = Split(train=tuple(range(rows)), validation=(90,), test=(91,), digest="")
        options = TrainingOptions(batch_size=2, resident="none", resident_bytes=0)
        source = FeatureData(open_source(cache, "vit.block_01"), split, {}, options)
        tracemalloc.start()
        for _ in source.train_dataloader():
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(8)  # what is made once
    assert peak(88) < peak(22) + 2 * BUFFERS * 2 * 80 * scenes.WIDTH * 2  # of 88 × 80 × 12 × 2


def test_points_are_aligned_by_sample(cache: "scenes.Cache") -> None:
    both = FeatureData(open_sources(cache, "vit.block_01+pixels"), SPLIT, {}, TrainingOptions(batch_size=5))
    standardization = both.standardization()
    batch = next(iter(both.train_dataloader()))
    first, second = batch.features.every
    for place, row in enumerate(batch.rows):
        np.testing.assert_array_equal(
            first.tokens[place, : len(cache["vit.block_01"][row])].float(), cache["vit.block_01"][row]
        )
        image = cache["pixels"].grid(row)[0]
        np.testing.assert_allclose(second.tokens[place, 0], image[:2, :2].reshape(-1) / 255, rtol=1e-6)
    assert both.widths == (scenes.WIDTH, 12)
    assert [each.tokens.dtype for each in standardization(batch.features).every] == [torch.float32] * 2


def test_a_flipped_byte_is_found_on_the_first_pass(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    path = tmp_path / "cache" / "vit.block_01" / "c" / "0" / "0" / "0"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    split = Split(train=tuple(range(20)), validation=(30,), test=(31,), digest="")
    for resident in ("none", "host"):
        source = FeatureData(open_source(cache, "vit.block_01"), split, {}, TrainingOptions(resident=resident))
        with pytest.raises(CorruptCache, match=r"chunk \d+ of .*vit.block_01/c/0/0/0 fails its checksum"):
            source.standardization()


def test_a_cut_object_is_found_on_any_pass(tmp_path: Path) -> None:
    cache = scenes.write(tmp_path / "cache", 40)
    point, out = cache["vit.block_01"], np.empty((64, scenes.WIDTH), cache["vit.block_01"].dtype)
    point.stored_into(31, out)
    np.testing.assert_array_equal(out, point.stored(31))
    with pytest.raises(CacheError, match=r"sample 31 of vit.block_01 needs a contiguous \(64, 12\) bfloat16"):
        point.stored_into(31, out[:5])
    path = tmp_path / "cache" / "vit.block_01" / "c" / "0" / "0" / "0"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CorruptCache, match="fails its checksum"):
        point.stored_into(31, out, check=False)


def _process(rank: int, place: str, out: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{out}/store", rank=rank, world_size=2)
    source = data(open_cache(place))
    epochs = [[list(batch.rows) for batch in loader] for loader in [source.train_dataloader()] * 2]
    found: list[object] = [None, None]
    torch.distributed.all_gather_object(found, (epochs, [list(batch.rows) for batch in source.test_dataloader()]))
    torch.distributed.destroy_process_group()
    if rank == 0:
        torch.save(found, f"{out}/rows.pt")


@pytest.mark.skipif(sys.platform == "win32", reason="gloo over a file")
def test_two_processes_share_each_epoch(cache: "scenes.Cache", tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, (str(cache.path), str(tmp_path)), nprocs=2)
    ranks = torch.load(tmp_path / "rows.pt", weights_only=True)
    alone = data(cache, batch_size=12).train_dataloader()
    for epoch in range(2):
        parts = [rank[0][epoch] for rank in ranks]
        assert [a + b for a, b in zip(*parts, strict=True)] == [list(batch.rows) for batch in alone]
    tested = [row for rank in ranks for batch in rank[1] for row in batch]
    assert sorted(tested) == list(SPLIT.test)
