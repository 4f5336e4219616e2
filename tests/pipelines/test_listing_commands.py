"""`foresight tasks` and `foresight heads`: what they list is what there is, and what they show is what is declared."""

import json
import subprocess
import sys

import pytest

from foresight_probes import heads, tasks
from tests.support.command import foresight


def test_every_task_and_head_has_a_line() -> None:
    for command, names in (("tasks", tasks.names()), ("heads", (*heads.names(), *heads.ALIASES))):
        lines = foresight(command).stdout.splitlines()
        assert [line.split()[0] for line in lines] == list(names)
        assert all(len(line.split()) > 3 and line.endswith(".") for line in lines)


def test_listing_loads_no_torch() -> None:
    script = "import sys; from pipelines.cli import run; run(sys.argv[1:]); print('torch' in sys.modules)"
    for words, loaded in ((["tasks"], "False"), (["heads"], "False"), (["heads", "show", "mlp"], "True")):
        run = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
        assert run.stdout.splitlines()[-1] == loaded


def test_a_task_is_shown() -> None:
    shown = json.loads(foresight("tasks", "show", "relation", "--json").stdout)
    assert (shown["metrics"][0], shown["heads"], shown["annotations"]) == ("accuracy", ["pooled-linear"], ["objects"])
    assert "logistic" in shown["fitting_heads"]
    assert "ridge" not in shown["fitting_heads"]  # it needs values, and these are classes
    assert "token-linear" not in shown["fitting_heads"]
    text = foresight("tasks", "show", "relation").stdout
    assert text.startswith("relation: The direction in which one of two objects lies, seen from the other.\n\nPredicts")
    assert "\nmetrics         accuracy, balanced_accuracy, calibration_error; the first selects the epoch\n" in text
    assert text.endswith("foresight train-probe CACHE --task relation --out RUNS\n")


@pytest.mark.parametrize(
    ("name", "facts", "line"),
    [
        ("ridge", ("pooled", "ridge", None), "weights   solved in closed form: ridge"),
        ("knn", ("pooled", "knn", None), "weights   solved in closed form: knn"),
        ("token-linear", ("tokens", None, 0.02), "weights   trained, by default at learning rate 0.02"),
        ("several-weighted", ("tokens", None, 0.003), "reads     all tokens of several points at once (E4+E5)"),
    ],
)
def test_a_head_is_shown(name: str, facts: tuple[object, ...], line: str) -> None:
    shown = json.loads(foresight("heads", "show", name, "--json").stdout)
    assert (shown["reads"], shown["solver"], shown["learning_rate"]) == facts
    assert line in foresight("heads", "show", name).stdout.splitlines()


def test_a_name_for_several_heads_shows_them_all() -> None:
    rows = json.loads(foresight("heads", "show", "linear", "--json").stdout)
    assert [row["name"] for row in rows] == ["pooled-linear", "token-linear"]


def test_all_facts_in_json() -> None:
    for command, names in (("tasks", tasks.names()), ("heads", heads.names())):
        rows = json.loads(foresight(command, "--json").stdout)
        assert tuple(row["name"] for row in rows) == names
        assert all(row["summary"] and row["description"] for row in rows)
