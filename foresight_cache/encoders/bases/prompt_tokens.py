"""Places of a prompt's own tokens: the text after the visual tokens, and the question in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from foresight_cache.samples import Grid


def text_ends(visual_BN: torch.Tensor, attended_BN: torch.Tensor) -> list[tuple[int, int]]:
    """Returns where the text after the last visual token of each sequence begins and ends, without padding.

    >>> visual = torch.tensor([[False, True, True, False, False]])
    >>> text_ends(visual, torch.tensor([[True, True, True, True, False]]))
    [(3, 4)]
    """
    positions = torch.arange(1, visual_BN.shape[1] + 1)
    begins, ends = ((mask_BN * positions).amax(dim=1).tolist() for mask_BN in (visual_BN, attended_BN))
    return list(zip(begins, ends, strict=True))


def tokens_after(tokenizer: Any, rendered: str, question: str) -> int:
    """Returns how many tokens of a rendered prompt follow the last one of the question; -1 where it is not in there.

    A token that holds the end of the question and what follows it is a token of the question. Counted from the end,
    as placeholders before the question become many tokens.
    """
    begin = rendered.rfind(question)
    if begin < 0 or not question:
        return -1
    end = begin + len(question)
    offsets = tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return sum(start >= end for start, _ in offsets)


def halp_places(grids: Sequence[Grid], images: Sequence[int], attended_BN: torch.Tensor) -> list[int]:
    """Returns the place in each sequence of the token that HALP's code takes for one of vision in Qwen2.5-VL.

    That is `min(patches, length // 2)`, where patches are those before the merger, of all images of the prompt, and
    nothing is added for the words before the image: so it mostly is the middle of the sequence, whatever stands there.
    Source: github.com/alliedbrother/HALP_EACL at 342e35c.

    >>> halp_places([Grid(1, 4, 4), Grid(1, 2, 2)], [1, 1], torch.ones(2, 14, dtype=torch.bool))
    [7, 4]
    """
    remaining = iter(grids)
    patches = [sum(next(remaining).tokens for _ in range(number)) for number in images]
    return [min(count, length // 2) for count, length in zip(patches, attended_BN.sum(dim=1).tolist(), strict=True)]


def end_at_last_visual(
    inputs: Mapping[str, torch.Tensor], visual_BN: torch.Tensor, padding: int
) -> dict[str, torch.Tensor]:
    """Ends each sequence at its last visual token; `visual_BN` is the mask of these, `padding` the id after them.

    >>> ids = torch.tensor([[5, 9, 9, 6], [9, 5, 6, 7]])
    >>> ended = end_at_last_visual({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids == 9, padding=0)
    >>> ended["input_ids"].tolist(), ended["attention_mask"].tolist()
    ([[5, 9, 9], [9, 0, 0]], [[1, 1, 1], [1, 0, 0]])
    """
    positions = torch.arange(visual_BN.shape[1])
    ends = (visual_BN * (positions + 1)).amax(dim=1, keepdim=True)
    kept_BN = positions < ends
    length = int(ends.max())
    ended = dict(inputs)
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in ended:
            filler = padding if name == "input_ids" else 0
            ended[name] = ended[name].masked_fill(~kept_BN, filler)[:, :length]
    return ended
