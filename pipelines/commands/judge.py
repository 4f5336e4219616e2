from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foresight_cache.errors import UsageError
from pipelines.commands.options import Json
from pipelines.completion import complete_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foresight_cache.answers.judging.rates import Rate

Answers = Annotated[
    Path,
    typer.Argument(
        help="File of answers, one JSON object a line (id, answer, references, type, source), or a folder of such.",
        metavar="ANSWERS",
    ),
]
Rules = Annotated[
    str,
    typer.Option(
        help="Whose rules: amber, hallusionbench, haloquest, mathvista, mme, pope, or any for questions of your own.",
        autocompletion=complete_rules,
    ),
]
Out = Annotated[Path, typer.Option(help="File for the judged answers: the same lines with outcome and judge.")]
Import = Annotated[
    Path | None,
    typer.Option(
        "--import",
        help="Judgements of people or another judge, which go before rules: id, hallucinated, judge, version, note.",
        metavar="FILE",
        show_default="none",
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(
        "--export-undecided",
        help="File for the answers that stay undecided, to be filled in and imported.",
        metavar="FILE",
        show_default="none",
    ),
]


def run(
    answers: Answers,
    rules: Rules,
    out: Out,
    imported: Import = None,
    undecided: Export = None,
    json_output: Json = False,
) -> None:
    """Judge answers by whole words: right, wrong, or undecided, and never right by default.

    Rules read yes or no, a letter, a number or a phrase, as the references of a question are, and leave undecided what
    they cannot read, refusals and what says both. Each line tells why, by which rules (with their digest) or judge.
    The table shows how many are wrong by source, category and form of answer: look at it before any probe, since what
    the category alone tells, a probe can read from the question.

    Example: foresight judge answers.jsonl --rules pope --out judged.jsonl --export-undecided open.jsonl
    """
    from dataclasses import asdict

    from foresight_cache.answer_lines import read_answers
    from foresight_cache.answers.judging.rates import rates
    from foresight_cache.answers.judging.verdicts import by_rules, read_imported, to_be_judged, with_imported
    from foresight_cache.json_lines import json_lines
    from foresight_cache.runtime.durable_files import write_file
    from pipelines.output import print_json
    from pipelines.progress_bar import say

    files = [path.resolve() for path in (answers, out, imported, undecided) if path]
    if len(set(files)) < len(files):
        raise UsageError("ANSWERS, --out, --import and --export-undecided name one file twice; name different ones")
    verdicts = by_rules(read_answers(answers), rules)
    if imported:
        verdicts, differing = with_imported(verdicts, read_imported(imported))
        if differing:
            say(
                f"{imported} and the rules decide differently on {len(differing):,} answers, such as {differing[0]!r}; "
                "what was imported stands"
            )
    write_file(out, json_lines(verdict.to_line() for verdict in verdicts))
    if undecided:
        write_file(undecided, json_lines(to_be_judged(verdicts)))
    table = rates(verdicts, rules)
    if json_output:
        print_json([asdict(row) | {"answers": row.answers, "wrong_rate": row.wrong_rate} for row in table])
    else:
        print("\n".join(_lines(table)))


def _lines(table: "Sequence[Rate]") -> list[str]:
    from pipelines.tables import text_table

    head = ("by", "value", "answers", "right", "wrong", "undecided", "wrong of decided")
    rows = [
        (
            *(row.by, row.value),
            *(f"{count:,}" for count in (row.answers, row.right, row.wrong, row.undecided)),
            "" if row.wrong_rate is None else f"{row.wrong_rate:.1%}".replace("%", " %"),
        )
        for row in table
    ]
    return text_table(head, rows, right=head[2:])
