"""Folders of results that something has damaged: a table, or one sentence, and the folder stays as it was."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from foresight_probes.results.result import save_result
from tests.probes.results.test_results import result
from tests.support.command import foresight
from tests.support.trial import some

COUNT = some(500)
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1e308,
        -0.0,
        10**400,
        "",
        " ",
        "nan",
        "\0",
        "../x",
        "é" * 300,
        [],
        {},
        [[]],
        {"": None},
    ),
    *(float("nan"), float("inf"), [1, 2, 3], {"value": 1}, "2020-01-01", 2**63, "<script>", ["a"] * 3),
)


def places(record: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values in a record."""
    found = [path] if path else []
    items = record.items() if isinstance(record, dict) else enumerate(record) if isinstance(record, list) else ()
    return found + [inner for key, value in items for inner in places(value, (*path, key))]


def change(record: Any, chance: random.Random) -> None:
    """Replaces, removes or adds a value anywhere."""
    *way, last = chance.choice(places(record))
    for key in way:
        record = record[key]
    what = chance.random()
    if what < 0.7:
        record[last] = chance.choice(ODD)
    elif what < 0.85:
        del record[last]
    elif isinstance(record, dict):
        record[chance.choice(("", "more", "value", "\0"))] = chance.choice(ODD)


def damage(folder: Path, chance: random.Random) -> None:
    """Changes the record of a result, bytes of one of its files, or files themselves."""
    path = chance.choice(sorted(folder.rglob("*.json")))
    what = chance.random()
    if what < 0.6:
        record = json.loads(path.read_text())
        for _ in range(chance.randint(1, 2)):
            change(record, chance)
        path.write_text(json.dumps(record))
    elif what < 0.85:
        path = chance.choice([path, path.with_suffix(".parquet")])
        data = bytearray(path.read_bytes())
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
    elif what < 0.9:
        path.with_suffix(chance.choice([".json", ".parquet"])).unlink()
    elif what < 0.95:
        target = path.with_name(chance.choice(["x.json", "mlp-seed9.json", f"{path.stem} 2.json"]))
        target.write_bytes(chance.choice([path.read_bytes(), b"", b"{}", b"[1]", b"\xff\xfe"]))
    else:
        chance.choice([path.with_suffix(""), folder / "a", path.parent / "b.json"]).mkdir(exist_ok=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    for point in ("vit.block_01", "llm.layer_09"):
        for seed in (0, 1):
            save_result(result(point=point, seed=seed, run=f"mlp-seed{seed}"), folder)
    return folder


@pytest.mark.parametrize("part", range(4))
def test_each_folder_is_shown_or_refused_in_one_sentence(part: int, sound: Path, tmp_path: Path) -> None:
    chance = random.Random(part)  # noqa: S311 - a sample, no secret
    outcomes: Counter[tuple[str, int]] = Counter()
    for number in range(COUNT // 4):
        folder = tmp_path / "results"
        shutil.copytree(sound, folder)
        damage(folder, chance)
        before = contents(folder)
        for command in ("runs", "compare", "report") if number % 5 == 0 else ("runs", "compare"):
            words = {"runs": [], "compare": ["--task", result().task], "report": []}[command]
            out = ["--out", tmp_path / command] if command != "runs" else []
            run = foresight(command, folder, *words, *out)
            kept = {
                name: data.decode(errors="replace")[:3000] for name, data in before.items() if name.endswith(".json")
            }
            assert "Traceback" not in run.stderr, (command, run.stderr[-3000:], kept)
            assert run.returncode in (0, 1, 2), (command, kept)
            if run.returncode:
                said = [line for line in run.stderr.splitlines() if line.startswith("foresight: ")]
                assert len(said) == 1, (command, run.stderr)
                assert not (tmp_path / command / "report.html").exists() or command != "report"
            outcomes[command, run.returncode] += 1
            shutil.rmtree(tmp_path / command, ignore_errors=True)
        assert contents(folder) == before
        shutil.rmtree(folder)
    assert outcomes["runs", 0] > 1
    assert outcomes["runs", 1] > 1
