"""Caches of the hub as other programs leave them, without a network: what is there is loaded, what is not is named."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors
from safetensors.torch import load_file, save_file

from foresight_cache import encoders
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights import hub_snapshots, model_files
from foresight_cache.errors import ModelError, UsageError
from tests.support.command import foresight, said

ID = "lab/model"
OLD, NEW = "a" * 40, "b" * 40
FLOAT = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture
def hub(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache with two commits of the same files: `v1` names the old one, `main` the new one."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    place = tmp_path / "hub" / "models--lab--model"
    for commit in (OLD, NEW):
        shutil.copytree(saved, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "v1").write_text(OLD)
    (place / "refs" / "main").write_text(NEW)
    return place


def listed(place: Path, commit: str, *others: str) -> None:
    """Writes the hub's own list of a commit's files, with more than are there."""
    names = [*others, *(path.name for path in (place / "snapshots" / commit).iterdir())]
    (place / "trees").mkdir(exist_ok=True)
    record = {"format_version": 1, "files": {name: {"size": 1, "blob_id": "0" * 40} for name in names}}
    (place / "trees" / f"{commit}.json").write_text(json.dumps(record))


def keep_only(place: Path, commit: str, *names: str) -> None:
    for file in (place / "snapshots" / commit).iterdir():
        if file.name not in names:
            file.unlink()


@pytest.mark.parametrize("others", [(), ("README.md", "trainer_state.json", "runs/scalars.json", "vocab.json")])
def test_what_is_there_is_loaded(hub: Path, others: tuple[str, ...]) -> None:
    """Also a file that the list has and that nobody reads, though its name is like those that are read."""
    if others:
        listed(hub, NEW, *others)
    identity = encoders.load(ID, FLOAT, ["vit.block_01"]).identity()
    assert (identity["name"], identity["revision"]) == (ID, NEW)


@pytest.mark.parametrize("revision", ["v1", OLD, OLD[:7]])
def test_a_revision(hub: Path, revision: str) -> None:
    if len(revision) == 7:
        (hub / "refs" / revision).write_text(OLD)  # as the hub's client keeps a short one that it has resolved
    by_text = encoders.load(f"{ID}@{revision}", FLOAT, ["vit.block_01"]).identity()
    options = LoadOptions(dtype="float32", device="cpu", revision=revision)
    assert by_text == encoders.load(ID, options, ["vit.block_01"]).identity()
    assert (by_text["name"], by_text["revision"]) == (ID, OLD)
    assert encoders.load(f"random:{ID}@{revision}", FLOAT, ["vit.block_01"]).identity()["revision"] == OLD
    assert encoders.describe(f"{ID}@{revision}", FLOAT).family == "qwen2_5_vl"


def test_a_moved_branch_whose_files_are_the_same(hub: Path) -> None:
    old, new = (encoders.load(f"{ID}@{revision}", FLOAT, ["vit.block_01"]).identity() for revision in ("v1", "main"))
    assert {name for name in old if old[name] != new[name]} == {"revision"}


def test_a_revision_that_is_not_there(hub: Path) -> None:
    with pytest.raises(
        ModelError, match=rf"revision 'v2' is not in .* has the commits {OLD}, {NEW}, and the hub cannot"
    ):
        encoders.load(f"{ID}@v2", FLOAT)


@pytest.mark.parametrize("model", ["tiny:qwen2_5_vl", "{path}", "random:{path}", "lab/model@v1"])
def test_a_revision_of_what_has_none(saved: Path, hub: Path, model: str) -> None:
    with pytest.raises(UsageError, match="--revision 'v1' is for a hub id without one; the model is"):
        encoders.load(model.format(path=saved), LoadOptions(device="cpu", revision="v1"))


def test_only_the_configuration_is_there(hub: Path) -> None:
    keep_only(hub, NEW, "config.json")
    assert encoders.describe(ID, FLOAT).family == "qwen2_5_vl"
    with pytest.raises(ModelError) as caught:
        encoders.load(ID, FLOAT)
    assert str(caught.value) == (
        f"the snapshot {NEW} of {ID} in the hub's cache is not whole: model.safetensors or "
        "model.safetensors.index.json, preprocessor_config.json or processor_config.json, tokenizer.json or "
        "tokenizer.model or vocab.json are missing; where there is a network run "
        f"'hf download {ID} --revision {NEW}'"
    )


def test_missing_files_are_named_by_the_hubs_own_list(hub: Path) -> None:
    listed(hub, NEW, "README.md", "runs/scalars.json", "merges.txt")
    keep_only(hub, NEW, "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    with pytest.raises(
        ModelError, match=r"is not whole: .*merges\.txt, model\.safetensors, processor_config\.json are"
    ):
        encoders.load(ID, FLOAT)
    with pytest.raises(ModelError, match=r"is not whole: .*merges\.txt, processor_config\.json are missing"):
        encoders.load(f"random:{ID}", FLOAT)


def test_one_of_several_files_of_weights_is_missing(hub: Path) -> None:
    snapshot = hub / "snapshots" / NEW
    (snapshot / "model.safetensors").rename(snapshot / "model-1.safetensors")
    weights = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    with pytest.raises(ModelError, match=r"lacks 1 of the 2 files of weights .*, such as model-2\.safetensors"):
        encoders.load(ID, FLOAT)


def test_an_unknown_revision_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise errors.RevisionNotFoundError.__new__(errors.RevisionNotFoundError)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(ModelError, match=r"model 'lab/model' has no revision 'v9' on the hub; see its branches"):
        model_files.model_type(f"{ID}@v9")


def test_a_directory_of_ones_own_is_no_snapshot(copy: Path) -> None:
    (copy / "processor_config.json").unlink()
    with pytest.raises(ModelError, match="has no usable Qwen2_5_VLProcessor"):
        encoders.load(str(copy), FLOAT)
    assert hub_snapshots.commit_of(copy) is None


def test_a_rerun_takes_the_commit_that_a_cache_was_made_of(hub: Path, tmp_path: Path) -> None:
    """`main` has moved to other weights since; without a name the command takes those of the fingerprint."""
    shards, cache = tmp_path / "S", tmp_path / "C"
    assert foresight("prepare", "shapes", "--limit", 2, "--out", shards).returncode == 0
    options = ["--points", "vit.block_01", "--size", 56, "--out", cache]
    assert foresight("extract", shards, "--model", ID, "--revision", "v1", *options).returncode == 0
    weights = hub / "snapshots" / NEW / "model.safetensors"
    changed = {name: tensor * 2 for name, tensor in load_file(weights).items()}
    save_file(changed, weights, {"format": "pt"})
    rerun = foresight("verify", cache, "--rerun", 1)
    assert rerun.returncode == 0, rerun.stderr
    assert "model.weights_digest" in said("verify", cache, "--rerun", 1, "--model", ID, status=1)
    assert "model.weights_digest" in said("extract", shards, "--model", ID, *options, status=1)
