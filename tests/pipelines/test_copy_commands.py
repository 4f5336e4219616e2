"""pull, push and repair as a user runs them, against a real extraction that asked for just the same."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import planted
from tests.support.command import FORESIGHT, foresight, said
from tests.support.copied import contents, flip, states

POINTS = "E1,E5,E8,E8@text"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of four scenes."""
    out = tmp_path_factory.mktemp("copies") / "S"
    assert foresight("prepare", "shapes", "--limit", 12, "--samples-per-shard", 4, "--out", out).returncode == 0
    return out


def extracted(scenes: Path, out: Path, points: str) -> Path:
    words = ("extract", scenes, "--model", "tiny:qwen2_5_vl", "--size", 56, "--points", points, "--out", out)
    run = foresight(*words)
    assert run.returncode == 0, run.stderr
    return out


@pytest.fixture(scope="module")
def cache(scenes: Path) -> Path:
    return extracted(scenes, scenes.parent / "C", POINTS)


@pytest.fixture
def damaged(cache: Path, tmp_path: Path) -> Path:
    shutil.copytree(cache, tmp_path / "D")
    flip(tmp_path / "D/vit.post_merge/c/1/0/0")
    (tmp_path / "D/pixels/c/2/0/0").unlink()
    flip(tmp_path / "D/samples/000000.json")
    return tmp_path / "D"


@pytest.fixture(scope="module")
def many_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache whose copy takes a second: 80 shards, each of its files made durable."""
    root = tmp_path_factory.mktemp("many") / "MANY"
    planted.write(root, planted.plan(planted.fixed_points(), 320))
    return root


@pytest.mark.parametrize("points", ["E5", "E8@text", "E1,E8@text"])
def test_a_pulled_part_is_the_extraction_of_this_part(scenes: Path, cache: Path, tmp_path: Path, points: str) -> None:
    run = foresight("pull", cache, tmp_path / "P", "--points", points)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == "<foresight cache>"
    assert contents(tmp_path / "P") == contents(extracted(scenes, tmp_path / "E", points))
    assert foresight("verify", tmp_path / "P").returncode == 0
    assert foresight("pull", cache, tmp_path / "P").returncode == 0
    assert contents(tmp_path / "P") == contents(cache)


def test_an_extraction_goes_on_in_a_copy(scenes: Path, cache: Path, tmp_path: Path) -> None:
    assert foresight("pull", cache, tmp_path / "P", "--points", "E5", "--shards", "1:3").returncode == 0
    assert contents(extracted(scenes, tmp_path / "P", POINTS)) == contents(cache)


def test_push_and_json(cache: Path, tmp_path: Path) -> None:
    run = foresight("push", cache, tmp_path / "P", "--points", "E5", "--shards", ":1", "--json")
    assert run.returncode == 0
    summary = json.loads(run.stdout)["summary"]
    assert (summary["shards"], summary["samples"], summary["place"]) == (1, 4, str(tmp_path / "P"))


def test_what_verify_says_is_what_mends(cache: Path, damaged: Path) -> None:
    told = foresight("verify", damaged)
    assert told.returncode == 1
    assert len(told.stdout.splitlines()) == 6
    for line in told.stdout.splitlines()[:-1]:
        assert f"'foresight repair {damaged} --from COPY'" in line
    before = states(damaged)
    run = foresight("repair", damaged, "--from", cache)
    assert run.returncode == 0
    assert run.stdout == f"{damaged}: 3 of its parts were wrong, nothing is now\n"
    assert contents(damaged) == contents(cache)
    touched = {"vit.post_merge/c/1/0/0", "pixels/c/2/0/0", "samples/000000.json"}
    assert {key for key, state in states(damaged).items() if before.get(key) != state} == touched
    assert foresight("repair", damaged, "--from", cache).stdout == f"{damaged}: nothing was wrong\n"


def test_what_is_taken_out_is_extracted_again_and_nothing_else(scenes: Path, cache: Path, damaged: Path) -> None:
    before = states(damaged)
    run = foresight("repair", damaged)
    assert run.returncode == 0
    assert run.stdout.splitlines() == [
        "samples/000000.json: taken out",
        "vit.post_merge/c/1/0/0: taken out",
        f"{damaged}: 2 taken out; run the same 'foresight extract' again to make it",
    ]
    assert contents(extracted(scenes, damaged, POINTS)) == contents(cache)
    touched = {"vit.post_merge/c/1/0/0", "pixels/c/2/0/0", "samples/000000.json", "samples/000001.json"}
    touched.add("samples/000002.json")
    assert {key for key, state in states(damaged).items() if before.get(key) != state} <= touched


def test_what_cannot_be_mended_is_told(cache: Path, damaged: Path, tmp_path: Path) -> None:
    shutil.copytree(cache, tmp_path / "OTHER")
    flip(tmp_path / "OTHER/vit.post_merge/c/1/0/0", 200)
    run = foresight("repair", damaged, "--from", tmp_path / "OTHER")
    assert run.returncode == 1
    assert "OTHER/vit.post_merge/c/1/0/0 does not have the SHA-256 that was committed" in run.stdout
    assert run.stdout.endswith(f"{damaged}: 3 of its parts were wrong, 1 thing still is\n")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ("pull", 2, "Missing argument 'SRC'"),
        ("pull C", 2, "Missing argument 'DIR'"),
        ("pull C D E", 2, "unexpected extra argument"),
        ("pull C s3://b/p", 2, "pull copies into a local folder, not to s3://b/p; 'foresight push' copies"),
        ("pull C D --points vit.blok_01", 2, "unknown extraction point 'vit.blok_01'; did you mean"),
        ("pull C D --points E1,,E5", 2, "--points is 'E1,,E5', which has an empty element"),
        ("pull C D --shards 2", 2, "--shards is '2', expected the first shard and the one after the last"),
        ("pull C D --shards 2:9", 2, "--shards is '2:9' and C has 3 shards"),
        ("pull C D --shards 3:", 2, "--shards is '3:', which is no shard; C has the shards 0:3"),
        ("pull NO D", 1, "NO holds no cache"),
        ("pull C C", 2, "C is both source and target of the copy"),
        ("pull C notes", 1, "notes holds files that are not a cache; name a new or empty directory"),
        ("pull C notes/text", 1, "notes/text is a file"),
        ("push C", 2, "Missing argument 'DST'"),
        ("push C https://example.org/c", 2, "https://example.org/c can be read but not written"),
        ("push NO D", 1, "NO holds no cache"),
        ("repair", 2, "Missing argument 'CACHE'"),
        ("repair NO", 1, "NO holds no cache"),
        ("repair NO --from C", 1, "there is nothing to mend; copy the cache with 'foresight pull'"),
        ("repair C --from NO", 1, "NO holds no cache"),
        ("repair C --from", 2, "Option '--from' requires an argument"),
        ("repair packed.zip", 2, "packed.zip is a zip file, which can be read but not written"),
        ("train-probe C --task boxes --out R --stage-in-memory", 2, "--stage-in-memory goes with --stage"),
    ],
)
def test_wrong_words(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, status: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "C").symlink_to(cache)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/text").write_text("notes")
    if "packed" in words:
        shutil.make_archive(str(tmp_path / "packed"), "zip", cache)
    before = set(tmp_path.rglob("*"))
    text = said(*words.split(), status=status)
    assert text.startswith("foresight: ")
    assert sentence in text
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_pull_goes_on(many_shards: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen([FORESIGHT, "pull", many_shards, tmp_path / "C"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "C/samples/000003.json").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert stderr == "foresight: interrupted; what is finished is kept, the same command goes on from there\n"
    assert not list((tmp_path / "C").rglob(".partial"))
    assert foresight("pull", many_shards, tmp_path / "C").returncode == 0
    assert contents(tmp_path / "C") == contents(many_shards)


@pytest.mark.slow
def test_several_processes_share_out_a_copy(many_shards: Path, tmp_path: Path) -> None:
    words = [FORESIGHT, "pull", many_shards, tmp_path / "C"]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, told
    assert contents(tmp_path / "C") == contents(many_shards)


@pytest.mark.slow
def test_killed_processes_leave_nothing_wrong(tmp_path: Path) -> None:
    planted.write(tmp_path / "SRC", planted.plan(planted.points_of_every_type(), 80))
    words = [sys.executable, "-m", "tests.support.killed_copies", tmp_path / "SRC", tmp_path, "30", "1"]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["partly copied"] > 0
