"""Lengths, channels and cosines of tokens against numpy on the planted numbers."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pandas as pd
import pytest

from foresight_cache import open_cache
from foresight_probes.lens.token_statistics import write_statistics
from tests.support import lenses


def test_each_image_and_layer_has_its_row(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(2, 3, 6, 16))
    second[..., 5] *= 40  # an outlier channel
    narrow = draw.normal(size=(3, 6, 8))
    points = {"llm.embed": first, "llm.layer_01": second, "llm.layer_02": narrow}
    lenses.write_cache(tmp_path / "C", points)
    write_statistics(open_cache(tmp_path / "C"), [0, 2], list(points), tmp_path / "s.parquet")
    table = pd.read_parquet(tmp_path / "s.parquet")
    assert list(zip(table["sample"].str[-4:], table["point"], strict=True)) == [
        (name, point) for name in ("0000", "0002") for point in points
    ]
    rows = table.set_index(["sample", "point"])
    own = rows.loc[("planted/train/0002", "llm.layer_01")]
    one, other = (np.array(each[2].astype(ml_dtypes.bfloat16), float) for each in (first, second))
    lengths = np.sqrt((other**2).sum(1))
    found = [own[name] for name in ("tokens", "mean", "deviation", "least", "median", "most")]
    assert found == pytest.approx(
        [6, lengths.mean(), lengths.std(), lengths.min(), np.median(lengths), lengths.max()], rel=1e-5
    )
    assert own["channels"][0] == 5
    assert own["shares"][0] == pytest.approx((other[:, 5] ** 2).sum() / (other**2).sum(), rel=1e-5)
    cosines = (one / np.linalg.norm(one, axis=1, keepdims=True)) @ (other / lengths[:, None]).T
    assert own["cosine"] == pytest.approx(np.diag(cosines).mean(), abs=1e-5)
    assert own["cosine_elsewhere"] == pytest.approx(cosines[~np.eye(6, dtype=bool)].mean(), abs=1e-5)
    assert rows.loc[("planted/train/0002", "llm.embed")]["cosine"] == pytest.approx(1)
    assert rows.loc[("planted/train/0002", "llm.layer_02")]["cosine"] == pytest.approx(1)  # the first of its channels
    assert set(table["of"]) == {"image"}
    assert table["layer"].tolist() == table["point"].tolist()
