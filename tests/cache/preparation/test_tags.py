"""Tags of samples from a table beside any folder, from the preparation to the parts of a result."""

import json
from pathlib import Path

import pytest

from foresight_cache import open_cache
from foresight_cache.errors import DatasetError
from foresight_cache.shards import read_shard
from tests.support.command import foresight
from tests.support.preparing import prepare, refusal
from tests.support.three_images import picture


def folder(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(root / name)
    return root


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


NAMES = ("val/cat/1.png", "val/cat/2.png", "train/dog/1.png")


@pytest.mark.parametrize(
    "text",
    [
        "file_name,indoor,light\nval/cat/1.png,yes,dim\ncat/2.png,no,\ndog/1.png,yes,bright\n",
        "id,indoor,light\nimage-folder/val/cat/1,yes,dim\nval/cat/2, no ,\ndog/1,yes,bright\n",
        "\ufefffile,indoor,light\r\nval/cat/1.png,yes,dim\r\n2.png,no,\r\ntrain/dog/1.png,yes,bright\r\n",
    ],
    ids=["file names", "ids", "as spreadsheets write it"],
)
def test_tags_are_kept_with_each_sample(tmp_path: Path, text: str) -> None:
    tags = table(tmp_path / "tags.csv", text)
    summary = prepare("image-folder", root=folder(tmp_path / "in", *NAMES), out=tmp_path / "s", tags=tags)
    found = {sample.file_name: sample.annotations.get("tags") for sample, _ in read_shard(summary.shards, 0)}
    assert found == {
        "val/cat/1.png": {"indoor": "yes", "light": "dim"},
        "val/cat/2.png": {"indoor": "no"},
        "train/dog/1.png": {"indoor": "yes", "light": "bright"},
    }
    assert summary.remarks == ()


def test_what_has_no_row_and_what_has_no_sample_is_told(tmp_path: Path) -> None:
    rows = "\n".join(f"gone-{number}.png,no" for number in range(4))
    tags = table(tmp_path / "tags.csv", f"file_name,indoor\ncat/1.png,yes\ncat/1.png,yes\n{rows}\n")
    summary = prepare("image-folder", root=folder(tmp_path / "in", *NAMES), out=tmp_path / "s", tags=tags)
    assert summary.remarks == (
        "tags.csv: 4 rows are of no sample that was read, such as 'gone-0.png', 'gone-1.png', 'gone-2.png'",
        "tags.csv: 2 samples have no row, such as 'train/dog/1.png', 'val/cat/2.png'",
        "tags.csv: 1 rows say again what an earlier one says",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file_name,indoor\ncat/1.png,yes\ncat/1.png,no\n", "row 2: 'cat/1.png' has the tags {'indoor': 'no'}, and an"),
        ("file_name,indoor\n1.png,yes\n", "has tags of '1.png', which is 2 samples: train/dog/1.png and val/cat/1.png"),
        ("file_name,indoor\ncat/1.png,yes,dim\n", "row 1: its row has 3 columns, the heading has 2"),
        (
            "file_name,indoor\nx.png,yes\n",
            "has tags of none of the 3 samples, but of such as 'x.png'; expected file",
        ),
        ("id,indoor\n", "has tags of none of the 3 samples"),
        ("id\ncat/1\n", "has the heading ['id']; expected 'id' or 'file_name', then a name"),
        ("id,indoor,indoor\n", "has the heading ['id', 'indoor', 'indoor']"),
        ("id,,a\n", "has the heading ['id', '', 'a']"),
        ("", "has the heading []"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, sentence: str) -> None:
    root, tags = folder(tmp_path / "in", *NAMES), table(tmp_path / "tags.csv", text)
    assert sentence in refusal(DatasetError, dataset="image-folder", root=root, out=tmp_path / "s", tags=tags)
    assert not (tmp_path / "s").exists()


def test_other_tags_are_another_set(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", *NAMES)
    tags = table(tmp_path / "tags.csv", "id,indoor\ncat/1,yes\n")
    prepare("image-folder", root=root, out=tmp_path / "s", tags=tags)
    assert prepare("image-folder", root=root, out=tmp_path / "s", tags=tags).already_there
    table(tags, "id,indoor\ncat/1,no\n")
    told = foresight("prepare", "image-folder", "--root", root, "--out", tmp_path / "s", "--tags", tags)
    assert told.returncode == 2
    assert "already holds shards of other annotations" in told.stderr


def test_results_have_the_parts_of_each_tag(tmp_path: Path) -> None:
    names = [f"{kind}/{number:02d}.png" for kind in ("cat", "dog") for number in range(30)]
    rows = "".join(f"{name},{'yes' if int(name[4:6]) % 3 else 'no'},{name}\n" for name in names)
    tags = table(tmp_path / "tags.csv", f"file_name,indoor,own name\n{rows}")
    prepare("image-folder", root=folder(tmp_path / "in", *names), out=tmp_path / "s", tags=tags)
    options = ("--model", "tiny:dinov2", "--size", 56, "--points", "vit.block_01@mean", "--out", tmp_path / "c")
    assert foresight("extract", tmp_path / "s", *options).returncode == 0
    assert open_cache(tmp_path / "c").rows[0]["annotations"]["tags"]["indoor"] in ("yes", "no")
    probe = ("train-probe", tmp_path / "c", "--task", "classification", "--heads", "knn", "--out", tmp_path / "r")
    run = foresight(*probe)
    assert run.returncode == 0, run.stderr
    by_column = foresight(*probe[:-1], tmp_path / "r2", "--column", "tags.indoor")
    assert by_column.returncode == 0, by_column.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "r").rglob("*.json")]
    (result,) = [each for each in results if each.get("point") == "vit.block_01@mean" and not each["control"]]
    breakdown = result["breakdown"]
    assert set(breakdown) == {"tags.indoor: no", "tags.indoor: yes"}, "a tag that is another for each makes no part"
    tested = sum(part["samples"] for part in breakdown.values())
    mean = sum(part["samples"] * part["accuracy"] for part in breakdown.values()) / tested
    assert mean == pytest.approx(result["metrics"]["accuracy"]["value"])
