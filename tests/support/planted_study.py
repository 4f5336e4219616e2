"""A small study of a small planted cache, by heads that are solved: it takes seconds."""

from pathlib import Path

from foresight_cache.reader import Cache
from foresight_probes.calibration.planted import PlantedCache

STUDY = """\
name: planted
version: 1
title: Objects in planted scenes
question: Can objects be counted?
model: planted
datasets:
  scenes: {dataset: planted-several, split: train, samples: 410, media: image}
  clips: {dataset: ssv2, split: validation, samples: 100, media: clip, frames: 8}
runs:
  counts:
    dataset: scenes
    tasks: [counting, direction]
    points: ["answers.*", nothing.linear]
    heads: [pooled-linear]
    controls: false
    options: {refits: 4}
  motion: {dataset: clips, tasks: speed, points: "*"}
measures:
  count: {title: R² of the number of objects, runs: counts, task: counting, metric: r2}
  error: {title: error of the number of objects, runs: counts, task: counting, metric: mae}
  speed: {title: R² of speed, runs: motion, task: speed, metric: r2}
  memory: {title: bytes, bytes: true}
scores:
  knowledge:
    title: knowledge of a scene
    terms: [{measure: count, weight: 0.5}, {measure: error, weight: 0.5, from: 1, over: 2}]
    points: ["answers.*", nothing.linear]
    bands: {high: "> 0.8", low: "<= 0.8"}
criteria:
  counted: {title: counted, measure: count, point: answers.linear, levels: {well: "> 0.9", badly: "< 0.5"}}
  noisy: {title: counted under noise, measure: count, point: answers.snr, levels: {well: "> 0.9", badly: "< 0.5"}}
  blind: {title: counted from nothing, measure: count, point: nothing.linear, levels: {well: "> 0.9"}}
  anywhere:
    title: counted anywhere
    measure: count
    points: ["answers.*", nothing.linear]
    which: any
    levels: {well: "> 0.9"}
  lost: {title: lost in noise, measure: count, point: answers.snr, against: answers.linear, levels: {some: "< 0"}}
  known: {title: known at the recommended point, measure: knowledge, point: recommended, levels: {high: "> 0.8"}}
  fast: {title: speed, measure: speed, point: answers.linear, levels: {well: "> 0.5"}}
  room:
    title: room of two points
    measure: memory
    points: [answers.linear, answers.snr]
    against: nothing.linear
    levels: {much: "> 1.5"}
decision:
  - {branch: BLIND, when: counted.badly, means: nothing can be counted, next: Look elsewhere.}
  - {branch: CLEAR, when: {all: [counted.well, noisy.well]}, means: all can be counted, next: Count on.}
  - {branch: NOISY, when: otherwise, means: noise disturbs, next: Take the other point., fallback: answers.linear}
failures:
  - {hard: noisy.badly, means: noise is too loud}
  - {soft: lost.some, means: noise takes some}
curves:
  decay: {title: Counting, measure: count, points: ["answers.*", nothing.linear], falls: "< 0.9"}
  motion: {title: Moving, measure: speed, points: "answers.*", falls: "< 0.5"}
sections:
  noise: {kind: differences, title: What noise takes, measures: count, points: answers.snr, against: answers.linear}
  motion: {kind: differences, title: Motion, measures: speed, points: answers.snr, against: answers.linear}
recommendation: {measure: count, points: ["answers.*", nothing.linear]}
expected:
  count: {answers.linear: [0.9, 1.0]}
not_measured:
  people: they would have to judge
"""


def cache(folder: Path, seed: int = 0) -> Cache:
    """Scenes whose answers stand as they are, under noise, and not at all."""
    planted = PlantedCache(world="several", train=200, validation=60, test=150, seed=seed, rows=4)
    return planted.write(folder, ("answers.linear", "answers.snr", "nothing.linear"))


def study_file(folder: Path, text: str = STUDY) -> Path:
    """Writes the study."""
    path = folder / "planted.yaml"
    path.write_text(text)
    return path
