"""Published indices: numbers and JSON are read, pickles never."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from foresight_cache.errors import FingerprintMismatch, TextIndexError
from foresight_cache.text_index import importing
from foresight_cache.text_index.importing import Importing, import_index
from foresight_cache.text_index_files import open_index

ROWS, WIDTH = 23, 6


def metadata(rows: int = ROWS) -> list[dict[str, Any]]:
    return [
        {"token_str": f" w{row}", "token_id": row, "caption": f"a w{row} there", "position": 1, "more": 0}
        for row in range(rows)
    ]


def vectors(layer: int) -> np.ndarray:
    return np.random.default_rng(layer).normal(size=(ROWS, WIDTH)).astype(np.float32)


def published(folder: Path, *, shared: bool = False) -> Path:
    for layer, name in ((1, "layer_1"), (16, "layer_16")):
        (folder / name).mkdir(parents=True)
        np.save(folder / name / "embeddings.npy", vectors(layer).astype(np.float16 if layer == 1 else np.float32))
        place = folder if shared else folder / name
        (place / "metadata.json").write_text(json.dumps(metadata()))
    return folder


@pytest.mark.parametrize("shared", [False, True])
def test_numbers_and_words_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    monkeypatch.setattr(importing, "_ROWS", 10)
    plan = Importing(published(tmp_path / "P", shared=shared), "org/model", tmp_path / "I")
    import_index(plan)
    index = open_index(tmp_path / "I")
    assert (index.layers, index.rows, index.width, len(index.shards)) == ((1, 16), ROWS, WIDTH, 3)
    assert index.fingerprint["model"] == {"name": "org/model"}
    for layer in (1, 16):
        stored = torch.cat([shard.tensor(f"layer_{layer:02d}") for shard in index.shards])
        expected = torch.tensor(vectors(layer).astype(np.float16 if layer == 1 else np.float32))
        assert torch.equal(stored, expected.float().bfloat16())
    table = index.shards[2].table([1, 2])
    assert table == {
        **{"token": [" w21", " w22"], "token_id": [21, 22]},
        **{"phrase": ["a w21 there", "a w22 there"], "position": [1, 1]},
    }
    before = {path.name: path.read_bytes() for path in (tmp_path / "I").iterdir()}
    import_index(Importing(tmp_path / "P", "org/model", tmp_path / "I"))
    assert {path.name: path.read_bytes() for path in (tmp_path / "I").iterdir()} == before
    with pytest.raises(FingerprintMismatch, match="of another model"):
        import_index(Importing(tmp_path / "P", "org/other", tmp_path / "I"))


def test_safetensors_of_small_floats_arrive(tmp_path: Path) -> None:
    folder = published(tmp_path / "P")
    (folder / "layer_1" / "embeddings.npy").unlink()
    small = torch.tensor(vectors(1)).to(torch.float8_e4m3fn)
    save_file({"embeddings": small}, folder / "layer_1" / "embeddings.safetensors")
    import_index(Importing(folder, "org/model", tmp_path / "I"))
    assert torch.equal(open_index(tmp_path / "I").shards[0].tensor("layer_01"), small.float().bfloat16())


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "P/layer_8").mkdir(parents=True)
    torch.save({"embeddings": torch.zeros(2, 3)}, tmp_path / "P/layer_8/embeddings_cache.pt")
    with pytest.raises(TextIndexError, match=r"embeddings_cache\.pt is a pickle.*numpy\.save.*json\.dump"):
        import_index(Importing(tmp_path / "P", "org/model", tmp_path / "I"))
    with pytest.raises(TextIndexError, match="is a published index of pickles; see 'foresight lens import --help'"):
        open_index(tmp_path / "P")


def objects(folder: Path) -> None:
    np.save(folder / "layer_1/embeddings.npy", np.array([{}], object), allow_pickle=True)


def another_row(folder: Path) -> None:
    rows = metadata()
    rows[3]["position"] = 2
    (folder / "layer_16/metadata.json").write_text(json.dumps(rows))


def infinite(folder: Path) -> None:
    numbers = vectors(16)
    numbers[4, 2] = np.inf
    np.save(folder / "layer_16/embeddings.npy", numbers)


DAMAGES: dict[str, tuple[Any, str]] = {
    "objects": (objects, r"embeddings\.npy cannot be read"),
    "another row": (another_row, "has other rows than layer 1"),
    "infinite": (infinite, "rows 0 and on of layer 16 are not finite"),
    "fewer rows": (
        lambda folder: [
            (folder / f"layer_{layer}/metadata.json").write_text(json.dumps(metadata(9))) for layer in (1, 16)
        ],
        r"has embeddings \[23, 6\] of layer 1, expected \[9, 6\]",
    ),
    "no metadata": (lambda folder: (folder / "layer_1/metadata.json").unlink(), r"has no metadata\.json; expected"),
    "no JSON": (lambda folder: (folder / "layer_1/metadata.json").write_text("{"), r"metadata\.json is no JSON"),
    "no rows": (lambda folder: (folder / "layer_1/metadata.json").write_text('[{"a": 1}]'), "is not as expected"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_not_as_expected_is_refused(tmp_path: Path, name: str) -> None:
    damage, told = DAMAGES[name]
    damage(published(tmp_path / "P"))
    with pytest.raises(TextIndexError, match=told):
        import_index(Importing(tmp_path / "P", "org/model", tmp_path / "I"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextIndexError, match="holds no published index; expected folders layer_N"):
        import_index(Importing(tmp_path, "org/model", tmp_path / "I"))
