"""Which tokens of a corpus are kept: of each at most so many contexts, whatever the batches and the order."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.errors import DatasetError
from foresight_cache.text_index import occurrences
from foresight_cache.text_index.corpus import Corpus, read_corpus
from foresight_cache.text_index.occurrences import Reservoir, Tokens, chosen_occurrences, shards_of
from tests.support.preparing import prepare
from tests.support.tar_sets import jpeg, write_samples

CONTEXTS = 6


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    encoder: Any = encoders.load("tiny:qwen2_5_vl", LoadOptions(device="cpu"))
    return Tokens(encoder)


def corpus(phrases: list[str]) -> Corpus:
    return Corpus(Path("corpus.txt"), phrases, [f"line {number + 1}" for number in range(len(phrases))])


def phrases(count: int = 80) -> list[str]:
    draw = np.random.default_rng(0)
    return [" ".join(draw.choice(["ab", "ba", "abba", "caba"], draw.integers(1, 5))) for _ in range(count)]


def chosen(own: Corpus, tokens: Tokens, **changed: Any) -> Any:
    usual = {"contexts": CONTEXTS, "skip": 0, "max_tokens": 100, "seed": 0, "max_rows": None}
    return chosen_occurrences(own, tokens, **{**usual, **changed})


def triples(found: Any) -> list[tuple[int, int, int]]:
    return list(zip(found.phrases_R.tolist(), found.positions_R.tolist(), found.tokens_R.tolist(), strict=True))


def test_each_token_has_as_many_contexts_as_there_are_up_to_the_limit(tokens: Tokens) -> None:
    """A context is what stands before a token: two phrases with one beginning have one."""
    own = corpus(phrases())
    contexts: dict[str, set[str]] = defaultdict(set)
    for phrase in own.phrases:
        for end in range(1, len(phrase) + 1):
            contexts[phrase[end - 1]].add(phrase[:end])
    kept: dict[str, list[str]] = defaultdict(list)
    for number, position, token in triples(chosen(own, tokens)):
        letter = own.phrases[number][position]
        assert tokens.string(token) == letter
        assert not any(own.phrases[number][: position + 1] == each[: position + 1] for each in own.phrases[:number])
        kept[letter].append(own.phrases[number][: position + 1])
    assert {letter: len(own) for letter, own in kept.items()} == {
        letter: min(CONTEXTS, len(all_of_it)) for letter, all_of_it in contexts.items()
    }
    assert all(set(own) <= contexts[letter] and len(set(own)) == len(own) for letter, own in kept.items())
    assert min(map(len, contexts.values())) > CONTEXTS, "no token has too many contexts: the test shows nothing"


@pytest.mark.parametrize("at_once", [1, 7])
def test_the_choice_does_not_depend_on_batches(tokens: Tokens, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    expected = triples(chosen(corpus(phrases()), tokens))
    monkeypatch.setattr(occurrences, "_AT_ONCE", at_once)
    assert triples(chosen(corpus(phrases()), tokens)) == expected


def test_the_choice_does_not_depend_on_the_order(tokens: Tokens) -> None:
    def contexts(own: Corpus) -> set[str]:
        return {own.phrases[number][: position + 1] for number, position, _ in triples(chosen(own, tokens))}

    assert contexts(corpus(phrases())) == contexts(corpus(phrases()[::-1]))
    assert triples(chosen(corpus(phrases()), tokens)) != triples(chosen(corpus(phrases()), tokens, seed=1))


def test_all_contexts_are_as_likely_to_be_kept() -> None:
    """5 of 50 contexts, drawn from 400 seeds: each is kept about 40 times."""
    counts = np.zeros(50)
    for seed in range(400):
        reservoir = Reservoir(5, seed)
        ids = [[1, number] for number in range(2, 52)]
        reservoir.add(0, ids, np.tile([0, 1], 50), skip=1)
        found = reservoir.occurrences(None)
        assert len(found) == 5
        counts[found.phrases_R] += 1
    assert ((counts - 40) ** 2 / 40).sum() / 0.9 < 86.7  # 99.9 % of χ² with 49 degrees of freedom


def test_rows_are_limited_and_positions_skipped(tokens: Tokens) -> None:
    own = corpus(phrases())
    everything = triples(chosen(own, tokens))
    some = triples(chosen(own, tokens, max_rows=9))
    assert len(some) == 9
    assert set(some) < set(everything)
    later = triples(chosen(own, tokens, skip=2, contexts=1000))
    assert min(position for _, position, _ in later) == 2


def test_the_marks_of_a_model_are_not_kept() -> None:
    """As what stands for unknown characters, of which a text may have any number."""
    reservoir = Reservoir(5, 0)
    reservoir.add(0, [[7, 3, 8]], np.array([0, -1, 1]), skip=0)
    assert reservoir.occurrences(None).tokens_R.tolist() == [7, 8]


def test_a_shard_has_whole_phrases(tokens: Tokens) -> None:
    found = chosen(corpus(phrases()), tokens)
    parts = shards_of(found, 10)
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert (parts[0].start, parts[-1].stop) == (0, len(found))
    for part in parts[:-1]:
        assert part.stop - part.start >= 10
        assert found.phrases_R[part.stop - 1] < found.phrases_R[part.stop]


def test_phrases_that_are_too_long_or_no_text_are_refused(tokens: Tokens) -> None:
    with pytest.raises(DatasetError, match=r"corpus\.txt, line 2 has 9 tokens, expected 8 at most; shorten it"):
        chosen(corpus(["short", "too long!"]), tokens, max_tokens=8)
    with pytest.raises(DatasetError, match=r"line 2: the phrase has '<\|image_pad\|>' in it"):
        chosen(corpus(["a", "b <|image_pad|>"]), tokens)


def test_a_corpus_is_lines_each_once(tmp_path: Path) -> None:
    place = tmp_path / "corpus.txt"
    place.write_bytes("\ufeffein Café\n\n  a dog \nein Café\na cat".encode())
    found = read_corpus(place)
    assert found.phrases == ["ein Café", "a dog", "a cat"]
    assert found.sources == ["line 1", "line 3", "line 5"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no phrases: expected one phrase a line"),
        (b" \n\n", "holds no phrases"),
        ("a dog\nein Café\n".encode("latin-1"), r"line 2 is not UTF-8 \(byte 8 of it\); convert the corpus"),
        ("a dog\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("a dog\n".encode("utf-16-le"), "has bytes of zero, as UTF-16"),
    ],
)
def test_what_is_no_corpus_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "corpus.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=told):
        read_corpus(tmp_path / "corpus.txt")


def test_captions_of_a_prepared_set_are_a_corpus(tmp_path: Path) -> None:
    samples = [
        {"__key__": "a", "jpg": jpeg(0), "txt": " a  red\ncup "},
        {"__key__": "b", "jpg": jpeg(1), "json": {"captions": ["a blue cup", "a red cup"]}},
        {"__key__": "c", "jpg": jpeg(2), "txt": ""},
    ]
    write_samples(tmp_path / "in" / "0.tar", samples)
    prepare("webdataset", root=tmp_path / "in", out=tmp_path / "S")
    found = read_corpus(tmp_path / "S")
    assert found.phrases == ["a red cup", "a blue cup"]
    assert [source.rpartition("/")[2] for source in found.sources] == ["a", "b"]
