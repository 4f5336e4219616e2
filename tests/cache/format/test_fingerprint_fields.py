"""Whatever may differ between two extractions, joining a cache that has it otherwise is refused by name.

Twice: by real causes through `extract`, and by every field that is stored, whether a test can cause it or not.
"""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file, save_file

from foresight_cache import encoders, open_cache
from foresight_cache.datasets import manifests
from foresight_cache.encoders import LoadOptions
from foresight_cache.encoders.weights import tiny_models
from foresight_cache.errors import FingerprintMismatch
from foresight_cache.extraction.extraction_loop import extract
from foresight_cache.fingerprint import ORIGIN
from foresight_cache.format.layout import CacheLayout
from foresight_cache.format.metadata import read_root
from foresight_cache.points import resolve
from foresight_cache.shards import open_shards
from foresight_cache.writer import CacheWriter
from tests.support.extracting import extraction_options
from tests.support.preparing import prepare

TINY = "tiny:qwen2_5_vl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """All that one extraction is told."""

    shards: Path
    model: str = TINY
    load: LoadOptions = field(default_factory=LoadOptions)
    size: str = "56"
    others: Mapping[str, Any] = field(default_factory=lambda: {"batch_tokens": 16})

    def into(self, out: Path) -> None:
        encoder = encoders.load(self.model, self.load)
        points = resolve(["E1", "E4"], [tap.name for tap in encoder.taps])
        options = extraction_options(points, self.size, **self.others)
        extract(open_shards(self.shards), encoder, options, out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where models and shards are made once; what is remembered of weights stays inside."""
    with pytest.MonkeyPatch.context() as environment:
        folder = tmp_path_factory.mktemp("fields")
        environment.setenv("FORESIGHT_CACHE_HOME", str(folder / "remembered"))
        yield folder


@pytest.fixture(scope="module")
def scenes(folder: Path) -> Path:
    prepare("shapes", out=folder / "S", limit=3, samples_per_shard=2)
    return folder / "S"


@pytest.fixture(scope="module")
def directory(folder: Path) -> Path:
    """The tiny model as a snapshot in a hub's cache."""
    path = folder / "snapshots" / "0a1b2c"
    encoder: Any = encoders.load(TINY, LoadOptions(device="cpu"))
    encoder.model.save_pretrained(path)
    encoder.processor.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def cache(folder: Path, scenes: Path) -> Path:
    Run(shards=scenes).into(folder / "C")
    return folder / "C"


@pytest.fixture(scope="module")
def balls(folder: Path) -> Path:
    prepare("bouncing-balls", out=folder / "B", limit=3, samples_per_shard=2)
    return folder / "B"


@pytest.fixture(scope="module")
def cache_of_clips(folder: Path, balls: Path) -> Path:
    Run(shards=balls, others={"batch_tokens": 64, "frames": 4}).into(folder / "K")
    return folder / "K"


@pytest.fixture(scope="module")
def cache_of_directory(folder: Path, scenes: Path, directory: Path) -> Path:
    Run(shards=scenes, model=str(directory)).into(folder / "D")
    return folder / "D"


State = dict[str, tuple[int, bytes | None]]


def state(root: Path) -> State:
    """Every file and folder with its time and bytes."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in root.rglob("*")
    }


def described(root: Path) -> dict[str, Any]:
    """What the root's attributes say, by the names that a refusal uses, without code of ours."""
    ours = json.loads((root / "zarr.json").read_bytes())["attributes"]["foresight"]
    shards = {}
    for number, shard in enumerate(ours["shards"]):
        shards[shard["name"]] = {"number": number, "sha256": shard["sha256"], "samples": shard["samples"]}
    points = {point["name"]: {key: value for key, value in point.items() if key != "name"} for point in ours["points"]}
    return {
        **ours["fingerprint"],
        **points,
        "shards": shards,
        "samples_per_shard": ours["samples_per_shard"],
    }


def described_fingerprint(root: Path) -> Any:
    return json.loads((root / "zarr.json").read_bytes())["attributes"]["foresight"]["fingerprint"]


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def assert_refused(root: Path, action: Callable[[], object], expected: Mapping[str, Any]) -> None:
    """Refused with each field, its value in the cache and, unless it is `...`, its value here; nothing is touched."""
    stored = {".".join(path): value for path, value in leaves(described(root))}
    before = state(root)
    with pytest.raises(FingerprintMismatch) as caught:
        action()
    assert state(root) == before, "something on the disk has changed"
    first, *lines = str(caught.value).split("\n")
    assert re.fullmatch(r".* was made with another \S+( \(\d+ more fields? differs?\))?; use the settings .*", first)
    assert len(first) < len(str(root)) + 150
    assert lines == [line for line in lines if line.startswith("  ") and line.endswith("here")]
    for name, value in expected.items():
        there = re.escape(f"{name} is {stored[name]!r} in the cache and ")
        here = ".+" if value is ... else re.escape(repr(value))
        assert re.search(f"{there}{here} here", str(caught.value)), f"{name} is not named in: {caught.value}"
        assert value != stored[name]


SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "number type": (
        {"load": LoadOptions(dtype="float32")},
        {"model.dtype": "float32", "vit.pre_merge.dtype": "float32"},
    ),
    "prompt": ({"load": LoadOptions(prompt="Count the stars.")}, {"model.prompt": "Count the stars."}),
    "size": ({"size": "84"}, {"input.size": "84x84", "vit.pre_merge.tokens": 36, "pixels.tokens": 84 * 84}),
    "native size": ({"size": "native"}, {"input.size": "native", "vit.patch_embed.tokens_per_chunk": 128}),
    "batches": ({"others": {"batch_tokens": 64}}, {"execution.batch_tokens": 64}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_another_setting(cache: Path, scenes: Path, name: str) -> None:
    changes, expected = SETTINGS[name]
    run = replace(Run(shards=scenes), **changes)
    assert_refused(cache, lambda: run.into(cache), expected)


SAMPLINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "frames": ({"frames": 2}, {"input.frames": 2, "vit.pre_merge.tokens": 16}),
    "frames per second": (
        {"frames_per_second": 2.0},
        {"input.frames_per_second": 2.0, "vit.pre_merge.tokens_per_chunk": 128},
    ),
    "images": ({"clips_as": "images"}, {"input.clips_as": "images", "vit.pre_merge.tokens": 64}),
}


@pytest.mark.parametrize("name", SAMPLINGS)
def test_another_sampling_of_clips(balls: Path, cache_of_clips: Path, name: str) -> None:
    changes, expected = SAMPLINGS[name]
    run = Run(shards=balls, others={"batch_tokens": 64, "frames": 4, **changes})
    assert_refused(cache_of_clips, lambda: run.into(cache_of_clips), expected)


def test_frames_of_clips_are_nothing_to_images(cache: Path, scenes: Path) -> None:
    before = state(cache)
    Run(shards=scenes, others={"batch_tokens": 16, "frames": 2, "clips_as": "images"}).into(cache)
    assert state(cache) == before


def test_another_seed_of_random_weights(cache: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_models, "SEED", 1)
    assert_refused(cache, lambda: Run(shards=scenes).into(cache), {"model.seed": 1, "model.weights_digest": ...})


def test_another_precision_of_products(cache: Path, scenes: Path) -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert_refused(cache, lambda: Run(shards=scenes).into(cache), {"execution.float32_matmul": "high"})
    finally:
        torch.set_float32_matmul_precision(before)


def test_another_name_of_the_model(cache: Path, scenes: Path, directory: Path) -> None:
    run = Run(shards=scenes, model=str(directory))
    assert_refused(cache, lambda: run.into(cache), {"model.name": "0a1b2c", "model.revision": "0a1b2c"})


def rewritten(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _one_weight(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if name.endswith("blocks.0.norm1.weight"))
    weights[name] = weights[name].copy()
    weights[name][0] += weights[name][0]
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})


def _mean(model: Path) -> None:
    rewritten(model / "processor_config.json", lambda content: content["image_processor"].update(image_mean=[0, 0, 1]))


def _template(model: Path) -> None:
    path = model / "chat_template.jinja"
    path.write_text(path.read_text().replace("You are a helpful assistant.", "Be brief."))


def _seconds(model: Path) -> None:
    rewritten(model / "config.json", lambda content: content["vision_config"].update(tokens_per_second=9))


FILES: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "weight": (_one_weight, {"model.weights_digest": ...}),
    "processor": (_mean, {"model.image_processor.image_mean": [0, 0, 1]}),
    "template": (_template, {"model.chat_template_digest": ..., "model.prompt_tokens_digest": ...}),
    "configuration": (_seconds, {"model.tokens_per_second": 9, "model.config_digest": ...}),
}


def test_the_same_weights_elsewhere_go_on(
    cache_of_directory: Path, scenes: Path, directory: Path, tmp_path: Path
) -> None:
    """A renamed directory, and another commit of the hub whose files are the same; the cache keeps what it says."""
    before = state(cache_of_directory)
    for place in ("renamed", "snapshots/f00d"):
        copy_of_model = Path(shutil.copytree(directory, tmp_path / place))
        (copy_of_model / "README.md").write_text(place)
        Run(shards=scenes, model=str(copy_of_model)).into(cache_of_directory)
    assert state(cache_of_directory) == before
    grown = tmp_path / "grown"
    shutil.copytree(cache_of_directory, grown)
    encoder = encoders.load(str(tmp_path / "renamed"), LoadOptions())
    points = resolve(["E2"], [tap.name for tap in encoder.taps])
    extract(open_shards(scenes), encoder, extraction_options(points, "56", batch_tokens=16), grown)
    assert described(grown)["model"]["name"] == "0a1b2c"
    assert len(open_cache(grown).points) == len(open_cache(cache_of_directory).points) + 1


@pytest.mark.parametrize("name", FILES)
def test_another_file_of_a_model(
    cache_of_directory: Path, scenes: Path, directory: Path, tmp_path: Path, name: str
) -> None:
    change, expected = FILES[name]
    copy_of_model = tmp_path / "snapshots" / directory.name
    copy_of_model.mkdir(parents=True)
    for file in directory.iterdir():
        (copy_of_model / file.name).write_bytes(file.read_bytes())
    run = Run(shards=scenes, model=str(copy_of_model))
    run.into(cache_of_directory)  # a copy is the same model
    change(copy_of_model)
    assert_refused(cache_of_directory, lambda: run.into(cache_of_directory), expected)


def _by_other_manifest(folder: Path, old: str, new: str) -> Path:
    text = (Path(manifests.__file__).parents[2] / "data_manifests" / "shapes.yaml").read_text()
    assert old in text
    (folder / "mine.yaml").write_text(text.replace(old, new))
    prepare(str(folder / "mine.yaml"), out=folder / "S", limit=3, samples_per_shard=2)
    return folder / "S"


def _other_manifest(folder: Path) -> Path:
    return _by_other_manifest(folder, "count: 256", "count: 255")  # the tars are the same


def _other_name(folder: Path) -> Path:
    return _by_other_manifest(folder, "name: shapes", "name: forms")


def _other_scenes(folder: Path) -> Path:
    prepare("shapes", out=folder / "S", limit=3, samples_per_shard=2, seed=1)
    return folder / "S"


def _other_shards(folder: Path) -> Path:
    prepare("shapes", out=folder / "S", limit=3, samples_per_shard=3)
    return folder / "S"


DATA: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "manifest": (_other_manifest, {"dataset.manifest_sha256": ...}),
    "name": (_other_name, {"dataset.name": "forms", "shards.shard-000001.tar.sha256": ...}),
    "tars": (_other_scenes, {"shards.shard-000000.tar.sha256": ..., "shards.shard-000001.tar.sha256": ...}),
    "shards": (_other_shards, {"samples_per_shard": 3, "shards.shard-000000.tar.samples": 3}),
}


@pytest.mark.parametrize("name", DATA)
def test_other_data(cache: Path, tmp_path: Path, name: str) -> None:
    change, expected = DATA[name]
    run = Run(shards=change(tmp_path))
    assert_refused(cache, lambda: run.into(cache), expected)


def _other(value: Any) -> Any:
    """A value of the same kind, as near to it as one can be."""
    if value is None:
        return "something"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return value[::-1] if value != value[::-1] else [*value, "more"]
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def _planned(root: Path, path: tuple[str, ...], value: Any) -> CacheLayout:
    """The layout of the cache with one leaf changed."""
    stored = read_root((root / "zarr.json").read_bytes(), str(root))
    first, last = path[0], path[-1]
    if first == "samples_per_shard":
        return replace(stored, samples_per_shard=value)
    if first == "shards" and last == "number":
        return replace(stored, shards=stored.shards[::-1])
    if first == "shards":
        shards = tuple(
            replace(shard, **{last: value}) if shard.name == ".".join(path[1:-1]) else shard for shard in stored.shards
        )
        return replace(stored, shards=shards)
    if first in stored.points:
        return replace(stored, points={**stored.points, first: replace(stored.points[first], **{last: value})})
    fingerprint = copy.deepcopy(dict(stored.fingerprint))
    inner: Any = fingerprint
    for key in path[:-1]:
        inner = inner[key]
    inner[last] = value
    return replace(stored, fingerprint=fingerprint)


@pytest.mark.parametrize("which", ["cache", "cache_of_clips", "cache_of_directory"])
def test_every_stored_field(request: pytest.FixtureRequest, which: str) -> None:
    root: Path = request.getfixturevalue(which)
    CacheWriter(root, _planned(root, ("model", "name"), described(root)["model"]["name"]))  # the same is joined
    changed = []
    for path, value in leaves(described(root)):
        other = 1 - value if path[-1] == "number" else _other(value)
        layout = _planned(root, path, other)
        if ".".join(path) in ORIGIN:  # where the same weights were found
            before = state(root)
            assert CacheWriter(root, layout).layout.fingerprint == described_fingerprint(root)
            assert state(root) == before
            continue
        assert_refused(root, lambda layout=layout: CacheWriter(root, layout), {".".join(path): other})
        changed.append(".".join(path))
    print(f"{len(changed)} fields changed in turn, each refused by name: {', '.join(changed)}")
    assert len(changed) == len(set(changed)) > 60


def test_every_field_that_is_gone_or_new(cache: Path) -> None:
    """Another version of this program may know fewer fields, or more."""
    stored = read_root((cache / "zarr.json").read_bytes(), str(cache))
    for section, fields in stored.fingerprint.items():
        for name in fields:
            fewer = {key: value for key, value in fields.items() if key != name}
            layout = replace(stored, fingerprint={**stored.fingerprint, section: fewer})
            before = state(cache)
            with pytest.raises(FingerprintMismatch, match=rf"{section}\.{name}.* in the cache and absent here"):
                CacheWriter(cache, layout)
            assert state(cache) == before
        layout = replace(stored, fingerprint={**stored.fingerprint, section: {**fields, "novelty": 1}})
        with pytest.raises(FingerprintMismatch, match=rf"{section}\.novelty is absent in the cache and 1 here"):
            CacheWriter(cache, layout)


def test_what_decides_the_numbers_is_in_the_fingerprint(cache_of_clips: Path) -> None:
    """The least that a cache must tell of itself, listed here once more by hand."""
    names = {".".join(path) for path, _ in leaves(described(cache_of_clips))}
    least = {
        *("model.name", "model.revision", "model.weights_digest", "model.dtype", "model.attention", "model.prompt"),
        *("model.image_processor.image_mean", "model.video_processor.image_mean", "input.size", "input.resize"),
        *("input.frames", "input.frames_per_second", "input.frame_choice", "input.clips_as", "model.compiled"),
        *("execution.batch_tokens", "dataset.manifest_sha256", "shards.shard-000001.tar.sha256", "vit.pre_merge.dtype"),
        *("libraries.torch", "libraries.torchvision", "libraries.transformers", "libraries.pillow"),
    }
    assert least <= names
