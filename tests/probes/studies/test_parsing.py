"""A mistake in a study file is named with its line, and with the key or name that was meant."""

from pathlib import Path

import pytest

from foresight_cache.errors import ManifestError, UnknownName
from pipelines import studies

TEXT = """\
name: mine
version: 1
title: One question
question: Are boxes there?
model: tiny:qwen2_5_vl
datasets:
  images: {dataset: shapes, split: train, samples: 300, media: image}
runs:
  boxes:
    dataset: images
    tasks: boxes
    points: [E4, "llm.layer_*"]
    options: {epochs: 2}
measures:
  iou: {title: box IoU, runs: boxes, task: boxes, metric: mean_iou}
scores:
  double:
    title: twice
    terms: [{measure: iou, weight: 2}]
    points: E4
    bands: {high: "> 1"}
criteria:
  there:
    title: boxes
    measure: iou
    point: E4
    levels: {good: "> 0.5"}
decision:
  - {branch: GO, when: there.good, means: they are, next: Go on.}
  - {branch: STOP, when: otherwise, means: they are not, next: Stop.}
failures:
  - {soft: there.good, means: too good}
recommendation: {measure: iou, points: E4}
expected:
  iou: {E4: [0.1, 0.2]}
"""


def parsed(text: str, folder: Path) -> None:
    path = folder / "mine.yaml"
    path.write_text(text)
    studies.load(str(path))


def test_a_copy_loads_by_its_path(tmp_path: Path) -> None:
    parsed(TEXT, tmp_path)
    for name in studies.names():
        text = (Path(studies.__file__).parent / f"{name}.yaml").read_text()
        parsed(text, tmp_path)


def test_names_are_offered() -> None:
    with pytest.raises(UnknownName, match="did you mean 'q2'"):
        studies.load("q22")
    with pytest.raises(ManifestError, match="there is no study at nowhere.yaml; expected a YAML file, or one of: c1"):
        studies.load("nowhere.yaml")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("version: 1", "verson: 1", 2, "unknown key 'verson'; did you mean 'version'?"),
        ("version: 1", "version: one", 2, "'version' is 'one', expected a whole number of at least 1"),
        ("title: One question\n", "", 1, "the key 'title' is missing in the file"),
        ("name: mine", "name: show", 1, "'name' is 'show', expected a name"),
        ("media: image", "media: picture", 7, "unknown kind of sample 'picture'"),
        ("tasks: boxes", "tasks: boxs", 11, "unknown task 'boxs'; did you mean 'boxes'?"),
        ("dataset: images", "dataset: image", 10, "unknown dataset of this study 'image'; did you mean 'images'?"),
        ('points: [E4, "llm', 'points: [EE4, "llm', 12, "unknown point 'EE4'; did you mean 'E4'?"),
        ("epochs: 2", "epoch: 2", 13, "unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs: 2", "epochs: 0", 13, "epochs is 0, expected a whole number of at least 1"),
        ("metric: mean_iou", "metric: mean_io", 15, "task 'boxes' 'mean_io'; did you mean 'mean_iou'?"),
        ("metric: mean_iou", "metric: lpips", 15, "unknown metric of the task 'boxes' 'lpips'"),
        ("task: boxes, metric", "task: detection, metric", 15, "unknown task of these runs 'detection'"),
        ("{measure: iou, weight", "{measure: oiu, weight", 19, "unknown measure 'oiu'; did you mean 'iou'?"),
        ("measure: iou\n    point", "measure: iuo\n    point", 25, "measure or score 'iuo'; did you mean 'iou'?"),
        ("    point: E4\n    levels", "    which: all\n    levels", 23, "neither 'point' and 'points', expected one"),
        ("    point: E4\n    levels", "    points: E4\n    levels", 23, "needs 'which', all or any"),
        ('good: "> 0.5"', 'good: "0.5"', 27, "'criteria.there.levels.good' is '0.5', expected a threshold"),
        ("when: there.good", "when: there.god", 29, "unknown claim 'there.god'; did you mean 'there.good'?"),
        ("when: there.good", "when: {both: there.good}", 29, "unknown key 'both'"),
        ("when: otherwise", "when: there.good", 28, "the last branch of 'decision' needs 'when: otherwise'"),
        ("soft: there.good", "sof: there.good", 32, "unknown key 'sof'; did you mean 'soft'?"),
        ("[0.1, 0.2]", "[0.2, 0.1]", 35, "expected the ends of a range"),
        ("version: 1", "version: 1\nversion: 2", 3, "the key 'version' is given twice, first on line 2"),
        ("    title: boxes\n", "    title: boxes\n    title: b\n", 25, "the key 'title' is given twice"),
        ("epochs: 2", "epochs: [", 13, "not valid YAML"),
        ("question: Are", "question: !!python/object:os.system Are", 4, "not valid YAML"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(ManifestError) as caught:
        parsed(TEXT.replace(old, new, 1), tmp_path)
    assert f"mine.yaml, line {line}: " in str(caught.value)
    assert words in str(caught.value)
    assert not str(caught.value).endswith(".")


def test_aliases_of_aliases_are_refused(tmp_path: Path) -> None:
    bomb = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]" for n in range(9))
    with pytest.raises(ManifestError, match="expected at most 20,000 values in a file"):
        parsed(f"a0: &a0 [x]\n{bomb}\n", tmp_path)
