"""Configurations of sweeps as nobody should write them: one sentence each, and nothing trained before it."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from foresight_probes.sweeps.sweep import option_names
from tests.support import scenes
from tests.support.command import foresight
from tests.support.trial import some

COUNT = some(2000)
TRAINED = 12
"""Of those that are accepted, so many are trained for real, which must then end well."""
BASE = {
    **{"task": "counting", "points": "vit.block_01", "heads": "ridge", "epochs": "1", "resamples": "5"},
    **{"logger": "none", "controls": "false", "device": "cpu"},
}
NUMBERS = (
    *(
        "0",
        "-1",
        "1",
        "2",
        "3",
        "1.5",
        "-0.0",
        ".inf",
        "-.inf",
        ".nan",
        "1e400",
        "1e-3",
        "1e309",
        "NaN",
        "inf",
        "1_000",
    ),
    *("0x1F", "0o17", "0b11", "1:30", "99999999999999999999", "1e", "+.5", "٣", "0.99999", "1e-320"),
)
TEXTS = (
    *(
        "true",
        "no",
        "~",
        "null",
        "''",
        "' '",
        "','",
        "a,,b",
        "a,a",
        '"\\0"',
        '"\\ud83d"',
        "!!binary aGk=",
        "2020-01-01",
    ),
    *(
        "*x",
        "&x 1",
        "!!python/none",
        "!!set {a}",
        "? a",
        "ridge",
        "counting,boxes",
        "llm.*",
        "E4",
        "vit.block_01+vit.block_02",
    ),
    *(
        "all",
        "auto",
        "cuda",
        "𝟙",
        "/dev/null",
        "..",
        "[",
        "}",
        "%",
        "@",
        "`",
        "|\n  text",
        "- 1",
        "hallucination",
        "../x",
    ),
)
LISTS = ("[]", "[[]]", "[1, .inf]", "[1e-3, x]", "[0.1, 0.1]", "{a: 1}", "[null]", "[true]", "[1, [2]]", "{}", "[-1]")
NAMES = (
    *option_names(),
    "epoch",
    "Epochs",
    "learning-rate",
    "lr ",
    "1",
    "null",
    "seed",
    "''",
    "__class__",
    "tasks",
    "é",
)


def texts(seed: int) -> Iterator[str]:
    """A sound configuration with one to three lines changed, added, doubled or broken."""
    chance = random.Random(seed)  # noqa: S311 - a sample, no secret
    while True:
        lines = dict(BASE)
        more = []
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            name = chance.choice(NAMES if chance.random() < 0.3 else option_names())
            value = chance.choice(chance.choice((NUMBERS, NUMBERS, TEXTS, LISTS)))
            if chance.random() < 0.1:
                more.append(f"{name}: {value}")
            else:
                lines[name] = value
        written = [f"{name}: {value}" for name, value in lines.items()] + more
        chance.shuffle(written)
        text = "\n".join(written) + "\n"
        if chance.random() < 0.05:
            place = chance.randrange(len(text))
            text = text[:place] + chance.choice("\t:[{'\"\0&*#") + text[place:]
        yield text


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> "scenes.Cache":
    return scenes.write(tmp_path_factory.mktemp("scenes") / "cache", 96)


def told(error: str) -> list[str]:
    """Sentences with which a command ends."""
    return [line for line in error.splitlines() if line.startswith("foresight: ")]


@pytest.mark.parametrize("part", range(4))
def test_each_is_refused_in_one_sentence_or_trained(
    part: int, cache: "scenes.Cache", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = []

    def about_to_train(plan: Any, **_: object) -> list[object]:
        reached.append(plan)
        return []

    monkeypatch.setattr("foresight_probes.sweeps.processes.train_on", about_to_train)
    outcomes: Counter[str] = Counter()
    accepted, stream = [], texts(part)
    for text in islice(stream, COUNT // 4):
        config, out = tmp_path / "c.yaml", tmp_path / "runs"
        config.write_bytes(text.encode("utf-8", "surrogatepass"))
        reached.clear()
        run = foresight("train-probe", cache.path, "--config", config, "--out", out)
        assert "Traceback" not in run.stderr, text
        assert not out.exists(), text
        if run.returncode == 0:
            assert reached, text
            accepted.append(text)
        else:
            assert not reached, text
            assert run.returncode in (1, 2), (text, run.stderr)
            assert len(told(run.stderr)) == 1, (text, run.stderr)
            assert run.stdout == "", text
        outcomes[f"{run.returncode}"] += 1
    assert sum(outcomes.values()) == COUNT // 4
    assert all(outcomes[status] > COUNT // 80 for status in ("0", "2")), outcomes
    monkeypatch.undo()
    short = [text for text in accepted if "epochs: 1\n" in text]
    for number, text in enumerate(short[: TRAINED // 4]):
        config.write_bytes(text.encode("utf-8", "surrogatepass"))
        run = foresight("train-probe", cache.path, "--config", config, "--out", tmp_path / f"runs-{number}")
        assert run.returncode == 0, (text, run.stderr)
