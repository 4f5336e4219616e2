"""Words of images, the word that a token stands for, and the chance of other images' words with its interval."""

import numpy as np
import pytest

from foresight_probes.lens.image_words import whole_word, words_of_image
from foresight_probes.lens.match_rates import Rates


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({"captions": ["A man's dog, on the grass!", "Photo of a DOG"]}, {"man", "dog", "grass"}),
        ({"captions": [], "objects": [{"category": "traffic light"}, {"category": None}]}, {"traffic", "light"}),
        ({"class": {"name": "tabby_cat", "id": 3}, "scene": "living room"}, {"tabby", "cat", "living", "room"}),
        ({"captions": ["There's a dog that's not the cat's, it's … don't"]}, {"dog", "cat"}),
        ({"captions": ["a b of it"], "scene": "beach"}, {"beach"}),
        ({"captions": [""], "action": {"label": "Pushing a cup"}}, {"pushing", "cup"}),
        ({"tracks": {"objects": [{"category": "left hand"}]}}, {"left", "hand"}),
        ({}, set()),
    ],
)
def test_words_of_an_image(annotations: dict[str, object], words: set[str]) -> None:
    assert words_of_image({"annotations": annotations}) == words  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("token", "phrase", "word"),
    [
        *((" cat", "one cat", "cat"), ("alog", "a catalogue", "catalogue"), (" Dog", None, "dog")),
        (" sk", "a risky skateboard", "skateboard"),  # begins a word
        ("sk", "a risky skateboard", "risky"),  # is in one
        *(
            (",", "a dog, a cat", ","),
            (" zebra", "a dog", "zebra"),
            ("'s", "a dog's ball", "s"),
            (" dog", "the dog's ball", "dog"),
        ),
    ],
)
def test_the_word_of_a_token(token: str, phrase: str | None, word: str) -> None:
    assert whole_word(token, phrase) == word


def test_the_interval_of_chance_counts_both_images_of_a_pair() -> None:
    """Shares of a pair are b of the tokens' image and c of the words': their mean has the variance of both."""
    draw = np.random.default_rng(0)
    b_S, c_S = draw.normal(0.5, 0.02, 400), draw.normal(0, 0.05, 400)
    rates = Rates(
        own_S=b_S + c_S,
        others_S=b_S + (c_S.sum() - c_S) / 399,
        as_other_S=c_S + (b_S.sum() - b_S) / 399,
        groups=tuple(map(str, range(400))),
    )
    found = rates.intervals["chance"]
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(np.sqrt((b_S.var() + c_S.var()) / 400), rel=0.15)
    # An image whose words everybody has is found in its own tokens no more often than in others: the same in each draw.
    difference = rates.intervals["over_chance"]
    assert difference.value == pytest.approx(0, abs=1e-3)
    assert difference.high - difference.low < 0.001
