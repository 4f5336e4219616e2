"""The facts about drawn scenes that tokens carry, as numbers of about unit variance.

Axis letters as in `foresight_probes.batches`, and F for facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import torch

from foresight_cache.samples import Grid
from foresight_probes.calibration.scenes import (
    ACTIONS,
    CATEGORIES,
    DIRECTIONS,
    FASTEST,
    KINDS,
    MOST_OBJECTS,
    SLOWEST,
    STATE_ROWS,
    Clip,
    Scene,
)
from foresight_probes.features.patches import patchify
from foresight_probes.metrics.edge_metrics import edge_map

Subject = Literal["objects", "answers", "relation", "lists", "picture", "motion", "states", "places", "nothing"]
"""What tokens know: the object at their place; answers about the scene; how a pair lies; all boxes; their own pixels
and edges; the motion and action of a clip; the state of their cell; where they are; or nothing."""
SUBJECTS: tuple[Subject, ...] = get_args(Subject)

RELATIONS = ("left", "right", "above", "below")
WAVES = 4
"""Frequencies of the sines and cosines of a place, along each axis."""


NOISE = MappingProxyType(
    {
        **{"class": 1.1, "box": 0.2, "peak": 0.0, "count": 0.4, "answer": 1.0, "kind": 1.0, "relation": 1.0},
        **{"list": 0.2, "pixels": 0.4, "edges": 0.5},
        **{"direction": 1.0, "speed": 0.4, "action": 1.0, "time": 1.0, "states": 0.5},
        **{"place": 0.0, "nothing": 1.0},
    }
)
"""Standard deviation of the noise on each group of facts where the signal-to-noise ratio is limited."""
CLASS_GAIN = 2.5
"""Size of the one fact of several classes that is not zero, so that its variance is about one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Facts of one kind, some of which several tokens share, with their noise."""

    name: str
    values_BNF: np.ndarray
    """float64."""
    shares_BN: np.ndarray
    """Number of the share of each token, int64 from 0: tokens of one share have the same noise."""

    @property
    def noise(self) -> float:
        """Standard deviation of the noise where the signal-to-noise ratio is limited."""
        return NOISE[self.name]


@dataclass(frozen=True, slots=True)
class Facts:
    """Groups of facts about the same tokens, side by side."""

    groups: tuple[Group, ...]

    @property
    def values_BNF(self) -> np.ndarray:
        """Facts of all groups, float64."""
        return np.concatenate([group.values_BNF for group in self.groups], axis=2)

    def columns(self, name: str) -> slice:
        """Returns the columns of a group among all facts."""
        start = 0
        for group in self.groups:
            stop = start + group.values_BNF.shape[2]
            if group.name == name:
                return slice(start, stop)
            start = stop
        raise KeyError(name)


def facts_about(subject: Subject, drawn: Sequence[Scene | Clip], grid: Grid) -> Facts:
    """Returns the facts of a subject for tokens on a grid."""
    scenes = [scene for scene in drawn if isinstance(scene, Scene)]
    clips = [clip for clip in drawn if isinstance(clip, Clip)]
    match subject:
        case "objects":
            return _objects(scenes, grid)
        case "answers":
            return _answers(scenes, grid)
        case "relation":
            chosen = [RELATIONS.index(scene.relation() or "") for scene in scenes]
            return Facts((_of_samples("relation", _one_hot(chosen, len(RELATIONS)), grid),))
        case "lists":
            return Facts((_of_samples("list", np.stack([_listed(scene) for scene in scenes]), grid),))
        case "picture":
            return _picture(scenes, grid)
        case "motion":
            return _motion(clips, grid)
        case "states":
            return _states(clips, grid)
        case "places":
            return Facts((_of_tokens("place", _places(grid, len(drawn))),))
        case "nothing":
            return Facts((_of_tokens("nothing", np.zeros((len(drawn), grid.tokens, 1))),))


def _of_samples(name: str, values_BF: np.ndarray, grid: Grid) -> Group:
    """Gives values of samples to all of their tokens."""
    values_BNF = np.repeat(values_BF[:, None], grid.tokens, axis=1)
    return Group(name=name, values_BNF=values_BNF, shares_BN=np.zeros(values_BNF.shape[:2], np.int64))


def _of_tokens(name: str, values_BNF: np.ndarray) -> Group:
    samples, tokens, _ = values_BNF.shape
    return Group(name=name, values_BNF=values_BNF, shares_BN=np.tile(np.arange(tokens), (samples, 1)))


def _one_hot(classes: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    hot: np.ndarray = CLASS_GAIN * np.eye(count)[classes]
    return hot


def _answers(scenes: Sequence[Scene], grid: Grid) -> Facts:
    answers = {
        "count": np.array([[(len(scene.boxes) - 3) / 2**0.5] for scene in scenes]),
        "answer": np.array([[1.0 if scene.hallucinated else -1.0] for scene in scenes]),
        "kind": _one_hot([scene.kind for scene in scenes], KINDS),
    }
    return Facts(tuple(_of_samples(name, values, grid) for name, values in answers.items()))


def _objects(scenes: Sequence[Scene], grid: Grid) -> Facts:
    """Returns class, box and peak; noise is that of an object, the same in all of its tokens."""
    owners_BN = np.stack([token_owners(scene, grid) for scene in scenes])
    boxes_BN4 = np.stack([_own(scene.boxes, owned) for scene, owned in zip(scenes, owners_BN, strict=True)])
    classes_BN = np.stack([_own(scene.categories, owned) for scene, owned in zip(scenes, owners_BN, strict=True)])
    sides_BN4 = np.concatenate(
        [cell_centres(grid) - boxes_BN4[..., :2], boxes_BN4[..., 2:] - cell_centres(grid)], axis=-1
    )
    sizes_BN2 = boxes_BN4[..., 2:] - boxes_BN4[..., :2]
    code_BN6 = np.concatenate([8 * (sides_BN4 - 0.15), 2 * (_log_odds(sizes_BN2) + 0.8)], axis=-1)
    inside_BN1 = (owners_BN >= 0)[..., None]
    values = {
        "class": _one_hot(classes_BN, CATEGORIES + 1),
        "box": np.where(inside_BN1, code_BN6, 0),
        "peak": np.where(inside_BN1, _peak(sides_BN4)[..., None], -1),
    }
    return Facts(tuple(Group(name=name, values_BNF=own, shares_BN=owners_BN + 1) for name, own in values.items()))


def token_owners(scene: Scene, grid: Grid) -> np.ndarray:
    """Returns the object that holds the centre of each cell, [N] int64; -1 for none."""
    centres, boxes = cell_centres(grid)[:, None], scene.boxes[None]
    inside_NK = ((centres >= boxes[..., :2]) & (centres < boxes[..., 2:])).all(axis=-1)
    return np.where(inside_NK.sum(axis=1) > 0, inside_NK.argmax(axis=1), -1)


def _own(values: np.ndarray, owners_N: np.ndarray) -> np.ndarray:
    """Returns what belongs to the object of each cell, [N, …]; zeros where there is none."""
    padded = np.concatenate([values, np.zeros((1, *values.shape[1:]), values.dtype)])
    own: np.ndarray = padded[owners_N]
    return own


def _peak(sides_BN4: np.ndarray) -> np.ndarray:
    """Returns how near a cell is to the centre of its box, from 0 to 1: the centre-ness of FCOS (Tian et al., 2019)."""
    left_top, right_bottom = np.abs(sides_BN4[..., :2]), np.abs(sides_BN4[..., 2:])
    ratios = np.minimum(left_top, right_bottom) / np.maximum(np.maximum(left_top, right_bottom), 1e-9)
    peak: np.ndarray = np.sqrt(ratios.prod(-1))
    return peak


def _listed(scene: Scene) -> np.ndarray:
    """Returns the boxes of a scene in their order, as log-odds of centre, size and corners, each with a sign."""
    rows = np.zeros((MOST_OBJECTS, 9))
    low, high = scene.boxes[:, :2], scene.boxes[:, 2:]
    codes = [_log_odds((low + high) / 2), _log_odds(high - low) + 0.8, _log_odds(low), _log_odds(high)]
    rows[: len(scene.boxes), :8] = np.concatenate(codes, axis=1)
    rows[:, 8] = np.where(np.arange(MOST_OBJECTS) < len(scene.boxes), 1, -1)
    return rows.reshape(-1)


def _picture(scenes: Sequence[Scene], grid: Grid) -> Facts:
    pixels = [4 * (_cut(scene.pixels, grid) / 255 - 0.35) for scene in scenes]
    edges = [2.0 * _cut(edge_map(scene.pixels[0])[None, ..., None], grid) - 1 for scene in scenes]
    return Facts((_of_tokens("pixels", np.stack(pixels)), _of_tokens("edges", np.stack(edges))))


def _cut(pixels_THWC: np.ndarray, grid: Grid) -> np.ndarray:
    pieces: np.ndarray = patchify(torch.from_numpy(pixels_THWC), grid).numpy().astype(float)
    return pieces


def _motion(clips: Sequence[Clip], grid: Grid) -> Facts:
    middle, deviation = (SLOWEST + FASTEST) / 2, (FASTEST - SLOWEST) / 12**0.5
    answers = {
        "direction": _one_hot([list(DIRECTIONS).index(clip.direction) for clip in clips], len(DIRECTIONS)),
        "speed": np.array([[(clip.speed - middle) / deviation] for clip in clips]),
        "action": _one_hot([clip.action for clip in clips], ACTIONS),
    }
    frames_BN = np.tile(np.repeat(np.arange(grid.t), grid.h * grid.w), (len(clips), 1))
    times_BN1 = np.linspace(-1, 1, grid.t)[frames_BN][..., None]
    time = Group(name="time", values_BNF=times_BN1, shares_BN=frames_BN)
    return Facts((*(_of_samples(name, values, grid) for name, values in answers.items()), time))


def _states(clips: Sequence[Clip], grid: Grid) -> Facts:
    """Returns the states of the cells; on a finer grid each token has that of the cell in which it lies."""
    rows, columns = (np.arange(side) * STATE_ROWS // side for side in (grid.h, grid.w))
    cells = (rows[:, None] * STATE_ROWS + columns).reshape(-1)
    states = np.stack([clip.states[:, cells].reshape(grid.tokens, -1) for clip in clips])
    return Facts((_of_tokens("states", states),))


def _places(grid: Grid, samples: int) -> np.ndarray:
    """Returns sines and cosines of the place of each token, the same for all samples and frames."""
    angles = np.pi * cell_centres(grid)[:, :, None] * np.arange(1, WAVES + 1)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1).reshape(grid.tokens, -1)
    return np.tile(waves, (samples, 1, 1))


def cell_centres(grid: Grid) -> np.ndarray:
    """Returns the centres x, y of the cells, [N, 2], as fractions of the image."""
    rows, columns = np.meshgrid(np.arange(grid.h), np.arange(grid.w), indexing="ij")
    frame = np.stack([(columns + 0.5) / grid.w, (rows + 0.5) / grid.h], axis=-1).reshape(-1, 2)
    return np.tile(frame, (grid.t, 1))


def _log_odds(fraction: np.ndarray) -> np.ndarray:
    """Returns the values whose sigmoids are these fractions; those of the border are cut."""
    inner = fraction.clip(0.01, 0.99)
    odds: np.ndarray = np.log(inner / (1 - inner))
    return odds
