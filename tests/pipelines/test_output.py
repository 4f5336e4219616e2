"""What commands write: JSON that is always JSON, results apart from diagnostics, and pipes whose reader leaves."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foresight_cache import open_cache
from foresight_cache.format.commits import Commit
from pipelines.output import print_json
from tests.support import planted
from tests.support.command import FORESIGHT, foresight, said


def strict(text: str) -> Any:
    """Reads JSON as a program in another language does: NaN is no number there."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards `S` and their cache `C`."""
    folder = tmp_path_factory.mktemp("output")
    assert foresight("prepare", "shapes", "--limit", 6, "--out", folder / "S").returncode == 0
    assert foresight(*extract(folder)).returncode == 0
    return folder


def extract(folder: Path, points: str = " E4 , E5,E4", **more: str) -> list[object]:
    words = ["extract", folder / "S", "--model", "tiny:qwen2_5_vl", "--points", points, "--size", "56"]
    return [*words, "--out", folder / "C", *(word for name, value in more.items() for word in (f"--{name}", value))]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), np.float32("-inf"), np.float64("nan")])
def test_numbers_that_json_lacks_are_null(number: float, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [number, 1.5], "b": (np.int64(3), Path("p"), "\ud800é")})
    assert strict(capsys.readouterr().out) == {"a": [None, 1.5], "b": [3, "p", "\ud800é"]}


def test_points_may_have_spaces_and_stand_twice(folder: Path) -> None:
    assert open_cache(folder / "C").points == ("vit.pre_merge", "vit.post_merge", "pixels")


def test_inspect_and_extract_give_numbers(folder: Path) -> None:
    cache = open_cache(folder / "C")
    for words in (["inspect", folder / "C"], extract(folder)):
        shown = strict(foresight(*words, "--json").stdout)
        summary = shown["summary"]
        assert (summary["samples"], summary["samples_in_all"], summary["samples_bad"]) == (6, 6, 0)
        assert summary["fingerprint"] == cache.digest
        sizes = {point["point"]: point["bytes"] for point in shown["points"]}
        on_disk = {
            name: sum(path.stat().st_size for path in (folder / "C" / name / "c").rglob("*") if path.is_file())
            for name in sizes
        }
        assert sizes == on_disk
        assert summary["bytes"] == sum(on_disk.values())
        assert [point["shape"] for point in shown["points"]] == [list(cache[name].shape) for name in sizes]


def test_statistics_that_are_no_numbers_leave_the_json_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.write(tmp_path / "C", planted.plan(planted.fixed_points()))
    statistics = {"mean": float("nan"), "std": float("inf"), "effective_rank": 1.0, "norm_quantiles": [0.0, 1.0, 2.0]}
    read = Commit.from_json

    def spoilt(data: bytes, place: str) -> Commit:
        commit = read(data, place)
        for entry in commit.objects.values():
            entry["statistics"] = statistics
        return commit

    monkeypatch.setattr(Commit, "from_json", staticmethod(spoilt))
    row = strict(foresight("inspect", tmp_path / "C", "--json").stdout)["statistics"][0]
    assert (row["mean"], row["std"], row["effective_rank"]) == (None, None, 1.0)


def test_prepare_tells_in_json_what_it_did(tmp_path: Path) -> None:
    words = ("prepare", "shapes", "--limit", 5, "--samples-per-shard", 2, "--out", tmp_path / "S", "--json")
    first, second = (strict(foresight(*words).stdout) for _ in range(2))
    assert (first["samples"], first["shards"], first["splits"], first["left_out"]) == (5, 3, {"train": 5}, [])
    assert first["bytes"] == sum(path.stat().st_size for path in (tmp_path / "S").glob("*.tar"))
    assert (first["already_prepared"], second["already_prepared"]) == (False, True)


def test_datasets_in_json() -> None:
    rows = strict(foresight("datasets", "--json").stdout)
    assert strict(foresight("datasets", "show", "ade20k", "--json").stdout) in rows
    assert {row["name"]: row["media"] for row in rows}["ssv2"] == "clip"
    assert "--json stands before 'show'; put it behind" in said("datasets", "--json", "show", "coco", status=2)


def test_shared_media_in_json(folder: Path) -> None:
    run = foresight("datasets", "duplicates", folder / "S", folder / "S", "--json")
    assert (strict(run.stdout), run.returncode) == ([], 0)


def test_a_reader_that_leaves_ends_nothing(folder: Path) -> None:
    """The work goes on to its own exit status, and nothing is said about the pipe."""
    for words, status in ((["datasets"], 0), (["--help"], 0), (["verify", folder / "C"], 0), (["runs", folder], 1)):
        process = subprocess.Popen(
            [FORESIGHT, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        errors = process.stderr.read()
        assert (process.wait(), "roken pipe" in errors, "Traceback" in errors) == (status, False, False), errors


def test_head_sees_the_first_line_and_nothing_else() -> None:
    script = f"set -o pipefail; {FORESIGHT} datasets | head -1"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("ade20k ")


def test_output_that_cannot_be_written_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run([FORESIGHT, "datasets"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1
    assert run.stderr == "foresight: cannot write what was found to standard output: No space left on device\n"


def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    planted.write(tmp_path / "C\udcff", planted.plan(planted.fixed_points()))
    run = subprocess.run([FORESIGHT, "verify", b"C\xff"], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "C\\udcff: no findings\n")
