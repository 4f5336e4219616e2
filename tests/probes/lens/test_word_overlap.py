"""Words of an index of all phrases against those of a hundredth of them, where it is known which words both have."""

from pathlib import Path

import numpy as np
import pytest

from foresight_cache import open_cache
from foresight_cache.errors import ProbeError
from foresight_probes.lens.lens_run import LensRun
from foresight_probes.lens.word_overlap import overlaps
from foresight_probes.lens.word_table import write_words
from tests.support import lenses

WORDS, CONTEXTS, WIDTH = 40, 100, 32
RARE = 0.05
"""Share of tokens of words that the hundredth does not have."""


def words_of(index: Path, cache: Path, out: Path, top: int = 1) -> Path:
    from foresight_cache.text_index_files import open_index

    run = LensRun(open_cache(cache), open_index(index), ("llm.layer_04",), top=top)
    for _ in write_words(run.each(), out):
        pass
    return out


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 common words, each with a hundred contexts of which the small index has one, and a rare word."""
    root, draw = tmp_path_factory.mktemp("overlap"), np.random.default_rng(0)
    centres = draw.normal(size=(WORDS + 1, WIDTH))
    rows = np.repeat(np.arange(WORDS + 1), CONTEXTS)
    vectors = centres[rows] + 0.1 * draw.normal(size=(len(rows), WIDTH))
    names = [f"word{number}" for number in rows]
    lenses.write_index(root / "all", {4: vectors}, rows_per_shard=2000, words=names)
    few = np.arange(0, WORDS * CONTEXTS, CONTEXTS)  # one of each common word
    lenses.write_index(root / "few", {4: vectors[few]}, words=[names[row] for row in few])
    meant = np.where(draw.random((200, 6)) < RARE, WORDS, draw.integers(0, WORDS, (200, 6)))
    tokens = centres[meant] * 5 + 0.5 * draw.normal(size=(200, 6, WIDTH))
    lenses.write_cache(root / "cache", {"llm.layer_04": tokens})
    (root / "share").write_text(str((meant < WORDS).mean()))
    return root


def test_a_hundredth_of_the_phrases_gives_the_words_that_it_has(world: Path) -> None:
    few, every = (words_of(world / name, world / "cache", world / f"{name}.parquet") for name in ("few", "all"))
    (found,) = overlaps(few, every)
    assert found.tokens == 1200
    assert found.same == pytest.approx(float((world / "share").read_text()))
    assert found.same >= 0.9
    assert found.shared == found.same  # of one word each


def test_several_words_are_compared_as_sets(world: Path, tmp_path: Path) -> None:
    """Five contexts of one word are one word, of five that the small index names."""
    few, every = (words_of(world / name, world / "cache", tmp_path / f"{name}.parquet", 5) for name in ("few", "all"))
    (found,) = overlaps(few, every)
    assert found.same == pytest.approx(float((world / "share").read_text()))
    assert found.shared == pytest.approx(found.same / 5, abs=0.01)


def test_tables_of_other_samples_are_refused(world: Path, tmp_path: Path) -> None:
    lenses.write_cache(tmp_path / "other", {"llm.layer_02": np.ones((2, 6, WIDTH))})
    run = LensRun(
        open_cache(tmp_path / "other"), lenses.write_index(tmp_path / "I", {4: np.eye(WIDTH)}), ("llm.layer_02",)
    )
    list(write_words(run.each(), tmp_path / "o.parquet"))
    own = words_of(world / "few", world / "cache", tmp_path / "few.parquet")
    with pytest.raises(ProbeError, match="no tokens in common"):
        overlaps(own, tmp_path / "o.parquet")
