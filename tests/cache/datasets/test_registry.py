"""The folders of readers and generators: what every file in them must have, and what holds for all of them."""

import inspect
from pathlib import Path

import pytest
from PIL import Image

from foresight_cache import datasets
from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.synthetic import shapes


@pytest.mark.parametrize("name", datasets.generator_names())
def test_a_generator_declares_whether_it_takes_a_file(name: str) -> None:
    generator = datasets.generator(name)
    has_source = "source" in inspect.signature(generator.generate).parameters
    assert has_source is generator.TAKES_SOURCE


@pytest.mark.parametrize("name", datasets.layout_names())
def test_a_reader_has_the_methods_of_the_protocol(name: str, tmp_path: Path) -> None:
    reader = datasets.reader(name)("set", tmp_path)
    assert callable(reader.splits)
    assert callable(reader.samples)


class TestInTheCurrentFolder:
    """A root that is written `.` reads as any other."""

    def test_coco(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        shapes.generate(tmp_path, count=1, seed=0)
        monkeypatch.chdir(tmp_path)
        (raw,) = datasets.reader("coco")("set", Path()).samples("train")
        assert isinstance(raw, RawSample)
        assert raw.sample.file_name == "train/000000000000.png"

    def test_a_link_that_leaves_the_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / "link.png").symlink_to(tmp_path / "outside.png")
        monkeypatch.chdir(tmp_path / "root")
        (broken,) = datasets.reader("image_folder")("set", Path()).samples("all")
        assert isinstance(broken, BrokenSample)
        assert "is a link out of the folder" in broken.reason
