"""Prompts of other lengths that several threads prepare at once, as extraction does."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from foresight_cache.encoders import LoadOptions, load
from foresight_cache.encoders.bases.language import LanguageEncoder

QUESTIONS = ["Is there a dog?", "How many red circles are to the left of the square?"]


def test_padding_of_one_thread_is_not_undone_by_another() -> None:
    """A tokenizer keeps in itself whether it pads, so that one that counts words must not be the one that pads."""
    encoder = load("tiny:qwen2_5_vl", LoadOptions(prompt="{question}"))
    assert isinstance(encoder, LanguageEncoder)
    side = encoder.patch_multiple * 2
    clips = [np.zeros((1, side, side, 3), np.uint8)] * len(QUESTIONS)
    expected = encoder.preprocess(clips, "image", QUESTIONS)["input_ids"]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(encoder.preprocess, clips, "image", QUESTIONS) for _ in range(150)]
            assert all(torch.equal(own.result()["input_ids"], expected) for own in found)
    finally:
        sys.setswitchinterval(usual)
