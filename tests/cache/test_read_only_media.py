"""A cache is read where nothing can be written: no file is made, changed, locked or opened for writing.

The superuser may write everywhere, so that what is asked of the system is watched too.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import planted

READING = """
import numpy as np, xarray as xr
from foresight_cache import open_cache
from foresight_cache.verify import verify, verify_sample
cache = open_cache(place)
cache.samples, repr(cache), cache._repr_html_(), cache.statistics, cache.size
for point in cache.values():
    point[0], point[:2], point.grid(1), point.torch([3]), list(point.each(bad="skip")), point.to_xarray().load()
    point.stored_into(0, np.empty_like(point.stored(0)))
    point.zarr[0]
cache.to_xarray().load(), xr.open_dataset(place, engine="foresight").load()
assert verify(cache) == [] and verify_sample(cache, 3).findings == []
"""
COMMANDS = """
from pipelines import cli
assert cli.run(["inspect", place]) == 0
assert cli.run(["inspect", place, "--bad"]) == 0
assert cli.run(["verify", place]) == 0
"""
WATCHED = """
import os, sys
place = sys.argv[1]
CHANGES = {f"os.{call}" for call in ("mkdir", "remove", "rename", "rmdir", "truncate", "utime", "chmod", "link")}
def watch(event, arguments):
    if not arguments or not str(arguments[0]).startswith(place):
        return
    if event == "open":
        _, mode, flags = arguments
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if flags & writing:
            raise SystemExit(f"opened for writing: {arguments}")
    if event in CHANGES:
        raise SystemExit(f"{event}: {arguments}")
sys.addaudithook(watch)
"""


@pytest.fixture(params=["folder", "zip"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    planted.write(tmp_path / "M/C", planted.plan(planted.points_of_every_type()), bad=(2,))
    if request.param == "zip":
        shutil.make_archive(str(tmp_path / "M/C"), "zip", tmp_path / "M/C")
        shutil.rmtree(tmp_path / "M/C")
    made = sorted((tmp_path / "M").rglob("*"))
    for path in [*made, tmp_path / "M"]:
        path.chmod(0o444 if path.is_file() else 0o555)
    yield made[0]
    for path in [tmp_path / "M", *made]:
        path.chmod(0o644 if path.is_file() else 0o755)


def watched(code: str, place: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", WATCHED + code, str(place)]
    return subprocess.run(program, capture_output=True, text=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("code", [READING, COMMANDS], ids=["notebook", "commands"])
def test_nothing_is_written(place: Path, code: str) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in place.parent.rglob("*")}
    done = watched(code, place)
    assert done.returncode == 0, done.stderr
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in place.parent.rglob("*")} == before


@pytest.mark.parametrize(
    "code", ["open(place + '/x', 'w')", "os.mkdir(place + '/x')", "os.open(place + '/x', os.O_CREAT)"]
)
def test_the_watch_can_fail(place: Path, code: str) -> None:
    done = watched(code, place)
    assert done.returncode == 1
    assert re.search(r"^(opened for writing|os\.mkdir): ", done.stderr, re.MULTILINE), done.stderr
