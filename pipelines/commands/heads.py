from typing import Annotated, Any

import typer

from pipelines.commands.options import Json, is_own_call
from pipelines.completion import complete_head
from pipelines.tables import text_list

app = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
"""`foresight heads` and `foresight heads show`."""

Name = Annotated[str, typer.Argument(help="Name of a head.", metavar="NAME", autocompletion=complete_head)]

_PREDICTS = {"per_sample": "one from the whole sample", "per_token": "one from each token"}
_READS = {"pooled": "the mean over tokens", "tokens": "all tokens"}
_INFORMATION = {"mean": "the mean over tokens", "token": "single tokens", "place": "where tokens lie"}


@app.callback()
def run(context: typer.Context, json_output: Json = False) -> None:
    """List the heads that can be trained on features; 'show NAME' says what one reads and predicts.

    Example: foresight heads show token-linear
    """
    if not is_own_call(context, json_output):
        return
    from foresight_probes import heads
    from pipelines.output import print_json

    if json_output:
        print_json([_facts(name) for name in heads.names()])
        return
    print(text_list(heads.summaries() | {alias: _meaning(names) for alias, names in heads.ALIASES.items()}))


@app.command()
def show(name: Name, json_output: Json = False) -> None:
    """Say what a head reads and predicts, how its weights are found and at which learning rate.

    Example: foresight heads show ridge
    """
    from foresight_probes import heads
    from pipelines.output import print_json

    every = [_facts(head) for head in heads.resolve([name])]
    if json_output:
        print_json(every[0] if len(every) == 1 else every)
        return
    print("\n\n".join(_text(facts) for facts in every))


def _meaning(names: tuple[str, ...]) -> str:
    """Returns what an alias of these heads stands for."""
    return f"An older name of {names[0]}." if len(names) == 1 else f"Together: {', '.join(names)}."


def _text(facts: dict[str, Any]) -> str:
    trained = f"trained, by default at learning rate {facts['learning_rate']}"
    lines = {
        "predicts": " or ".join(_PREDICTS[form] for form in facts["predicts"]),
        "reads": _READS[facts["reads"]] + (" of several points at once (E4+E5)" if facts["takes_several"] else ""),
        "finds in": ", ".join(_INFORMATION[form] for form in facts["information"]) or "nothing",
        "weights": trained if facts["solver"] is None else f"solved in closed form: {facts['solver']}",
    }
    return f"{facts['name']}: {facts['summary']}\n\n{facts['description']}\n\n{text_list(lines)}"


def _facts(name: str) -> dict[str, Any]:
    """Returns what a head declares. Raises `UnknownName` with the nearest names."""
    import inspect

    from foresight_probes import heads

    head = heads.load(name)
    return {
        "name": name,
        "summary": heads.summaries()[name],
        "description": inspect.getdoc(head),
        "predicts": head.predicts,
        "reads": head.reads,
        "information": head.information,
        "is_linear": head.is_linear,
        "takes_several": head.takes_several,
        "solver": head.solver,
        "learning_rate": head.learning_rate if head.solver is None else None,
    }
