from typing import Annotated, Any

import typer

from pipelines.commands.options import Json, is_own_call
from pipelines.completion import complete_task
from pipelines.tables import text_list

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
"""`foresight tasks` and `foresight tasks show`."""

Name = Annotated[str, typer.Argument(help="Name of a task.", metavar="NAME", autocompletion=complete_task)]


@app.callback()
def run(context: typer.Context, json_output: Json = False) -> None:
    """List the tasks that heads can be trained for; 'show NAME' says what one predicts and how it is measured.

    Example: foresight tasks show boxes
    """
    if not is_own_call(context, json_output):
        return
    from foresight_probes import tasks
    from pipelines.output import print_json

    if json_output:
        print_json([_facts(name) for name in tasks.names()])
    else:
        print(text_list(tasks.summaries()))


@app.command()
def show(name: Name, json_output: Json = False) -> None:
    """Say what a task predicts, its metrics, its heads and the annotations that it needs.

    Example: foresight tasks show relation
    """
    from pipelines.output import print_json

    facts = _facts(name)
    if json_output:
        print_json(facts)
        return
    print(f"{name}: {facts['summary']}\n\n{facts['description']}\n")
    lines = {
        "metrics": ", ".join(facts["metrics"]) + "; the first selects the epoch",
        "heads": f"{', '.join(facts['heads'])}, unless others are named",
        "heads that fit": ", ".join(facts["fitting_heads"]),
        "annotations": " or ".join(facts["annotations"]) or "none are needed",
        "chance": f"the best constant answer's, computed from {_ANSWERS[facts['chance_from']]}",
    }
    print(text_list(lines))
    print(f"\nforesight train-probe CACHE --task {name} --out RUNS")


_ANSWERS = {
    "sample": "training targets",
    "cells": "training targets by place, for each grid of tokens",
    "features": "the training features of each point by place",
}


def _facts(name: str) -> dict[str, Any]:
    """Returns what a task declares. Raises `UnknownName` with the nearest names."""
    import inspect

    from foresight_cache.samples import Grid
    from foresight_probes import heads, tasks
    from foresight_probes.training.solvers import solvable

    task = tasks.load(name)
    outputs = task.outputs_for(width=1, grid=Grid(2, 2, 2))
    return {
        "name": name,
        "summary": tasks.summaries()[name],
        "description": inspect.getdoc(type(task)),
        "metrics": task.metric_names,
        "primary": task.primary,
        "heads": task.heads,
        "fitting_heads": [head for head in heads.names() if heads.fitting(head, outputs) and solvable(task, head)],
        "annotations": task.annotations,
        "chance_from": task.targets_from,
    }
