"""Every command says what each of its options means, what it is by default, and whether it must be given."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from pipelines import bench
from pipelines.cli import app
from tests.support.command import foresight

OF_TYPER = ("help", "install_completion", "show_completion")
"""Options that typer adds, which do one thing and end."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields every command with its way through the groups, the groups themselves too."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


def gaps(path: tuple[str, ...], command: Any) -> list[str]:
    """Names the options and arguments whose help lacks their meaning, or their default where they may be left out."""
    context = command.make_context(" ".join(path), [], resilient_parsing=True)
    wrong = []
    for parameter in command.get_params(context):
        if parameter.name in OF_TYPER:
            continue
        text = parameter.get_help_record(context)[1]
        meaning, _, facts = text.partition("  [")
        if not re.match(r"[A-Z].*[.…)]$", meaning) or not re.search(r"required|default: .+", facts):
            wrong.append(f"{' '.join(path)} {parameter.opts[0]}: {text}")
    return wrong


TREE = dict(commands(get_command(app)))


def test_the_whole_tree_is_walked() -> None:
    assert {("datasets", "duplicates"), ("models", "show"), ("tasks", "show"), ("train-probe",)} <= TREE.keys()


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_every_option_says_what_it_means_and_what_it_is_by_default(path: tuple[str, ...]) -> None:
    assert gaps(path, TREE[path]) == []


def test_the_walk_can_fail() -> None:
    other = typer.Typer(add_completion=False)
    inner = typer.Typer()

    @inner.command("deep")
    def deep(
        silent: Annotated[int | None, typer.Option()] = None,
        unset: Annotated[int | None, typer.Option(help="Samples of a step.")] = None,
        good: Annotated[int, typer.Option(help="Samples of a step.")] = 3,
    ) -> None: ...

    @inner.command("other")
    def nothing() -> None: ...

    other.add_typer(inner, name="group")
    found = [gap for path, command in commands(get_command(other)) for gap in gaps(path, command)]
    assert [gap.partition(":")[0] for gap in found] == ["group deep --silent", "group deep --unset"]


@pytest.mark.parametrize("path", TREE, ids=" ".join)
def test_help_shows_every_word(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Help is Markdown, which takes <word> for a tag and drops it."""
    monkeypatch.setenv("COLUMNS", "400")
    shown = foresight(*path, "--help").stdout
    command = TREE[path]
    context = command.make_context(" ".join(path), [], resilient_parsing=True)
    for parameter in command.get_params(context):
        if parameter.name not in OF_TYPER:
            assert parameter.help in " ".join(shown.replace("│", " ").split()), parameter.name
            assert f"{parameter.opts[-1]} " in shown or parameter.metavar in shown


def test_what_must_be_given_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a star before it, and in words."""
    monkeypatch.setenv("COLUMNS", "400")
    shown = foresight("extract", "--help").stdout
    assert re.findall(r"│ \*\s+(\S+)", shown) == ["SHARDS", "--model", "--points", "--out"]
    assert shown.count("[required]") == 4


def test_bench_names_every_part() -> None:
    text = foresight("bench", "--help").stdout
    assert [part for part in bench.names() if f"'{part}'" not in text] == []


def test_nothing_at_all_shows_the_help_and_is_wrong_usage() -> None:
    run = foresight()
    assert run.returncode == 2
    assert "Usage: foresight" in run.stdout


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert foresight("--version").stdout == f"foresight {version('foresight-cache')}\n"
