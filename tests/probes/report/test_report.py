"""The report says what the results say, plainly, in one file, and the same each time."""

import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foresight_cache.errors import ProbeError
from foresight_probes import tasks
from foresight_probes.calibration import state
from foresight_probes.calibration.validity import digest
from foresight_probes.options import TrainingOptions
from foresight_probes.report import write_report
from foresight_probes.report.page import RANDOM_WEIGHTS, page
from foresight_probes.report.run_links import train_command
from foresight_probes.results.control_values import ControlValue
from foresight_probes.results.metric_names import METRIC_NAMES, lower_is_better
from foresight_probes.results.result import Result, save_result
from foresight_probes.statistics.interval import Interval
from foresight_probes.studies import derived_metrics
from tests.probes.results.test_results import result

POINTS = ("vit.patch_embed", "vit.block_08", "vit.pre_merge", "vit.post_merge", "llm.layer_01", "pixels")


def runs(folder: Path, **changes: object) -> list[Result]:
    """Two heads at six points, and the mean predictor."""
    found = [result(point="mean-predictor", head="pooled-linear", point_index=-1, metrics=interval(0.1), **changes)]
    for order, point in enumerate(POINTS):
        for number, head in enumerate(("mlp", "token-linear")):
            value = 0.2 + 0.05 * order + 0.2 * number
            validation = {"value": value if point != "pixels" else 0.9, "epoch": 3}
            found.append(
                result(
                    point=point, head=head, point_index=order, metrics=interval(value), validation=validation, **changes
                )
            )
    for each in found:
        save_result(each, folder)
    return found


def interval(value: float) -> dict[str, Interval]:
    return {name: Interval(value, value - 0.05, value + 0.06) for name in ("mean_iou", "share_above_0.5")}


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_files(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    assert write_report(tmp_path / "runs", tmp_path / "out") == tmp_path / "out" / "report.html"
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert names == [*(f"figures/boxes.{kind}" for kind in ("png", "svg")), "report.html", "report.md"]
    assert "](figures/boxes.png)" in (tmp_path / "out" / "report.md").read_text()


def test_the_page_stands_alone(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    tags = Elements(write_report(tmp_path / "runs", tmp_path / "out").read_text()).tags
    names = {tag for tag, _ in tags}
    assert "svg" in names
    assert not names & {"script", "img", "link", "iframe"}
    links = [value for _, values in tags for name, value in values.items() if name in ("src", "href") and value]
    outside = [link for link in links if not link.startswith("#")]
    assert "../runs/boxes/vit.block_08/mlp-seed0.json" in outside
    assert not [link for link in outside if not (tmp_path / "out" / link).is_file()]
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside <= {values.get("id") for _, values in tags}


@pytest.fixture(autouse=True)
def _no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports do not depend on what a release found of its instruments, but where a test says so."""
    monkeypatch.setattr(state, "shipped_table", lambda: {"geometries": {}, "instruments": []})


def test_every_run_is_in_both_tables(tmp_path: Path) -> None:
    found = runs(tmp_path / "runs")
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    markdown = (tmp_path / "out" / "report.md").read_text()
    for each in found:
        value = each.value
        shown = f"{value.value:.3f} ({value.low:.3f}–{value.high:.3f})"
        address = f"../runs/boxes/{each.point}/{each.run}.json"
        row = rf'<code>{each.point}</code></td><td title="foresight train-probe [^"]+">{each.head}</td>'
        assert re.search(rf'{row}.*<a href="{re.escape(address)}">{re.escape(shown)}</a>', html)
        assert re.search(rf"\| `{each.point}` \| {each.head} \| 0 \| {re.escape(shown)}", markdown)
    assert html.count("<tr") == html.count("</tr>")


def test_all_points_are_in_the_figure_in_the_order_of_computation(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    write_report(tmp_path / "runs", tmp_path / "out")
    svg = (tmp_path / "out" / "figures" / "boxes.svg").read_text()
    ElementTree.fromstring(svg)  # noqa: S314 - made above
    labels = re.findall(r"<!-- (.*?) -->", svg)
    assert [label for label in labels if label in POINTS] == ["pixels", *POINTS[:-1]]
    assert {"mlp", "token-linear", "mean predictor", "mean IoU ↑"} <= set(labels)
    pixels = np.asarray(Image.open(tmp_path / "out" / "figures" / "boxes.png").convert("RGB"))
    assert pixels.shape[1] > 900
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_random_weights_are_said_loudly_and_only_then(tmp_path: Path) -> None:
    runs(tmp_path / "random")
    start = RANDOM_WEIGHTS.split(":")[0]
    assert start == "The weights of this model are random"
    assert f'class="notice"><strong>{start}:' in write_report(tmp_path / "random", tmp_path / "a").read_text()
    assert f"> **{start}:**" in (tmp_path / "a" / "report.md").read_text()
    cache = {**result().cache, "model": {"name": "real", "weights": "pretrained"}}
    runs(tmp_path / "real", cache=cache)
    assert start not in write_report(tmp_path / "real", tmp_path / "b").read_text()
    assert start not in (tmp_path / "b" / "report.md").read_text()


@pytest.mark.parametrize(("media", "noun"), [("image", "images"), ("clip", "clips"), (None, "samples")])
def test_captions_call_samples_what_they_are(tmp_path: Path, media: str | None, noun: str) -> None:
    """Older results do not say what they are."""
    runs(tmp_path / "runs", cache={**result().cache, **({"media": media} if media else {})})
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    for text in (html, (tmp_path / "out" / "report.md").read_text()):
        assert f"Test split of 1 {noun} in 1 groups" in text
        assert f"7 {noun} trained and 2 selected" in text
        assert not [other for other in ("images", "clips") if other != noun and f" {other} " in text]
    assert f"<td>{noun}</td>" in html


def controls(shuffled: Interval) -> dict[str, ControlValue]:
    """Controls, with how far a number lies above that of shuffled samples."""
    value, labels = interval(0.1)["mean_iou"], Interval(0.25, 0.2, 0.3)
    return {
        "positions-only": ControlValue(above=True, interval=value, difference=Interval(0.2, 0.1, 0.3)),
        "shuffled": ControlValue(above=True, interval=value, difference=shuffled),
        "control-labels": ControlValue(above=False, interval=value, difference=labels),
        "label-shuffle": ControlValue(above=False, interval=value, p_value=1 / 21),
    }


def test_a_number_that_does_not_lie_above_its_controls_is_struck_through(tmp_path: Path) -> None:
    for head, above in (("mlp", Interval(0.1, -0.1, 0.3)), ("ridge", Interval(0.1, 0.05, 0.3))):
        one = result(point="vit.block_08", head=head, metrics=interval(0.4), controls=controls(above))
        save_result(one, tmp_path / "runs")
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    markdown = (tmp_path / "out" / "report.md").read_text()
    reason = "not above shuffled (0.100)"
    assert re.search(rf'>mlp</td><td class="n">0</td><td><s title="{re.escape(reason)}"><a [^>]+>0\.400', html)
    assert re.search(r'>ridge</td><td class="n">0</td><td><a [^>]+>0\.400 \(0\.350–0\.460\)</a></td>', html)
    assert "| mlp | 0 | ~~0.400 (0.350–0.460)~~ |" in markdown
    assert "| ridge | 0 | 0.400 (0.350–0.460) |" in markdown
    for text in (html, markdown):
        assert text.count(f"{reason}</td>" if text == html else f"{reason} |") == 1
        assert "0.100 (0.050–0.160), +0.200 (0.100–0.300)" in text
        assert "0.100 (0.050–0.160), p = 0.048" in text
        assert "control-labels (selectivity)" in text
        assert "A number is struck through where" in text


def test_without_controls_that_is_said(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    assert "No other controls were trained" in html
    assert "Controls</h3>" not in html


def test_what_is_named_is_chosen_by_validation_and_never_pixels(tmp_path: Path) -> None:
    runs(tmp_path)
    save_result(
        result(point="lucky", point_index=9, metrics=interval(0.99), validation={"value": 0.1, "epoch": 1}), tmp_path
    )
    html = write_report(tmp_path, tmp_path / "out").read_text()
    assert "would choose <code>token-linear</code> on <code>llm.layer_01</code>" in html


def test_names_cannot_break_the_page(tmp_path: Path) -> None:
    cache = {**result().cache, "path": "a|b<script>", "model": {"name": "<script>alert(1)</script>|", "weights": "x"}}
    runs(tmp_path / "runs", cache=cache)
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert "<script" not in markdown
    assert r"a\|b" in markdown


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    for name in ("a", "b"):
        write_report(tmp_path / "runs", tmp_path / name)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path


def test_two_tasks_and_two_seeds(tmp_path: Path) -> None:
    for seed in (0, 1):
        runs(tmp_path / "runs", seed=seed)
        runs(tmp_path / "runs", seed=seed, task="position")
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    for name in ("boxes", "position"):
        assert f'<a href="#{name}">{name}</a>' in html
        own = html[html.index(f'<h2 id="{name}">{name}</h2>') :]
        assert own.index("<svg") < own.index("<table") < own.find("<h2", 1), "its figure stands beside its table"
        assert (tmp_path / "out" / "figures" / f"{name}.png").is_file()
    assert "means over 2 seeds" in html


def test_only_some_points(tmp_path: Path) -> None:
    """Without pixels, without the mean predictor, a single run."""
    save_result(result(), tmp_path / "runs")
    assert "vit.block_01" in write_report(tmp_path / "runs", tmp_path / "out").read_text()


def test_results_that_do_not_belong_together() -> None:
    one, cache, split = result(), {**result().cache, "digest": "9" * 64}, {**result().split, "digest": "8" * 64}
    with pytest.raises(ProbeError, match=r"more than one cache \(333333333333, 999999999999\)"):
        page([one, result(cache=cache)])
    with pytest.raises(ProbeError, match="the results of boxes have different splits"):
        page([one, result(split=split)])


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    runs(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    with pytest.raises(ProbeError, match="cannot write the report to .*file: Not a directory"):
        write_report(tmp_path / "runs", tmp_path / "file")


def test_numbers_of_unfit_instruments_are_struck_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the shipped table: one head is fit, the other not, and what is not in the table is not known to be fit."""
    made = runs(tmp_path / "runs")
    rows = [
        {"rule": "present", "form": "lists.linear", "geometry": "", "verdict": verdict} for verdict in ("fit", "unfit")
    ]
    options = TrainingOptions(**made[-1].options)
    table = {
        "geometries": {},
        "instruments": [
            {"task": "boxes", "head": head, "digest": digest("boxes", head, options), "failure": "", "rows": [row]}
            for head, row in zip(("mlp", "token-linear"), rows, strict=True)
        ],
    }
    monkeypatch.setattr(state, "shipped_table", lambda: table)
    monkeypatch.setattr(state, "digest", lambda task, head, _=None: digest(task, head, options))
    write_report(tmp_path / "runs", tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text()
    numbers = {
        head: re.findall(rf"\| `(?:vit|llm)\S* \| {head} \| 0 \| (\S+ \S+) \|", text)
        for head in ("mlp", "token-linear")
    }
    assert len(numbers["mlp"]) == len(numbers["token-linear"]) == 5
    assert all("~~" not in number for number in numbers["mlp"])
    assert all(number.startswith("~~") for number in numbers["token-linear"])
    assert "`mlp` is fit; `token-linear` is unfit in 1 of 1 checks: present (lists.linear)." in text
    assert "of an instrument that is unfit in 1 of 1 checks" in (tmp_path / "out" / "report.html").read_text()
    monkeypatch.setattr(state, "shipped_table", lambda: {"geometries": {}, "instruments": []})
    write_report(tmp_path / "runs", tmp_path / "out")
    assert "`mlp` is not known to be fit (never calibrated)" in (tmp_path / "out" / "report.md").read_text()


def test_a_number_of_few_groups_says_so_in_its_own_row(tmp_path: Path) -> None:
    few = {**result().split, "effective_groups": 8.4, "test": 9}
    runs(tmp_path / "runs", split=few)
    html = write_report(tmp_path / "runs", tmp_path / "report").read_text()
    markdown = (tmp_path / "report" / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| `vit.block_08` | mlp "))
    assert "| 9 (undecided, too few groups: 8, needs about 50) |" in row
    assert "<td>9 (undecided, too few groups: 8, needs about 50)</td>" in html
    assert "<strong>0." not in html
    assert "**0." not in markdown


def test_a_metric_that_is_not_defined_for_one_result_says_so(tmp_path: Path) -> None:
    """Such as a calibration error of confidences of which no two are alike; the first result may be the one."""
    less = {"mean_iou": Interval(0.3, 0.2, 0.4)}
    for point, metrics in ((POINTS[0], less), (POINTS[1], interval(0.5))):
        save_result(result(point=point, metrics=metrics), tmp_path / "runs")
    html = write_report(tmp_path / "runs", tmp_path / "report").read_text()
    markdown = (tmp_path / "report" / "report.md").read_text()
    assert html.count("<td>not defined</td>") == markdown.count("| not defined |") == 1
    assert "| share with IoU > 0.5 ↑ |" in markdown


def test_a_best_of_many_that_is_no_surprise() -> None:
    """Two standard errors above the mean predictor: a p-value of 0.023 for one number, 0.11 for the best of 5."""

    def best_of(count: int, above: float) -> str:
        difference = Interval(above, above - 1.96 * 0.01, above + 1.96 * 0.01)
        beside = {"mean-predictor": ControlValue(above=True, interval=Interval(0.2, 0.1, 0.3), difference=difference)}
        return page([result(point=point, controls=beside) for point in POINTS[:count]]).sections[0].luck

    assert best_of(1, 0.02) == ""
    assert "among 5 numbers" in best_of(5, 0.02)
    assert "in 11% of cases" in best_of(5, 0.02)
    assert best_of(5, 0.03) == ""


def test_the_foot_says_what_the_numbers_come_from(tmp_path: Path) -> None:
    of_input = {"size": 448, "fit": "letterbox", "resize": "bicubic"}
    known = {"input": of_input, "dataset": {"manifest_sha256": "5" * 64}}
    cache = {**result().cache, "fingerprint": known}
    runs(tmp_path / "runs", cache=cache)
    command = "foresight report runs --out out"
    write_report(tmp_path / "runs", tmp_path / "out", command=command, written=date(2026, 3, 4))
    for name in ("report.html", "report.md"):
        text = (tmp_path / "out" / name).read_text()
        for words in ("448 pixels, letterbox, resized by bicubic", "5" * 64, "4" * 64, "3" * 64, command, "2026-03-04"):
            assert words in text, words


def test_the_command_of_a_run_is_that_which_makes_it() -> None:
    options = {**TrainingOptions(epochs=7, refits=4, resamples=50).to_json(), "learning_rate": 0.01}
    own = [result(point=point, head=head, options=options) for point in ("E4", "E5") for head in ("mlp", "ridge")]
    command, _, comment = train_command(own).partition("  # ")
    assert comment == "OPTIONS.yaml has resamples: 50"
    assert shlex.split(command) == [
        *("foresight", "train-probe", "caches/demo", "--task", "boxes", "--points", "E4,E5", "--heads", "mlp,ridge"),
        *("--seeds", "0", "--lr", "0.01", "--epochs", "7", "--refits", "4", "--no-controls"),
        *("--config", "OPTIONS.yaml", "--out", "RUNS"),
    ]


def test_folders_stand_beside_each_other(tmp_path: Path) -> None:
    trained = {**result().cache, "digest": "6" * 64, "model": {"name": "real", "weights": "pretrained"}}
    runs(tmp_path / "pretrained", cache=trained)
    runs(tmp_path / "random")
    save_result(result(task="position", head="mlp", metrics=interval(0.7)), tmp_path / "random")
    write_report([tmp_path / "pretrained", tmp_path / "random"], tmp_path / "out")
    html, markdown = ((tmp_path / "out" / name).read_text() for name in ("report.html", "report.md"))
    cells = {}
    for folder in ("pretrained", "random"):
        path = tmp_path / folder / "boxes" / "vit.block_08" / "mlp-seed0.json"
        value = json.loads(path.read_text())["metrics"]["mean_iou"]
        cells[folder] = f"{value['value']:.3f} ({value['low']:.3f}–{value['high']:.3f})"
        assert f'<a href="../{folder}/boxes/vit.block_08/mlp-seed0.json">{cells[folder]}</a>' in html
        assert f"Where {folder} comes from" in html
    assert f"| `vit.block_08` | mlp | {cells['pretrained']} | {cells['random']} |" in markdown
    assert "pretrained: mean IoU ↑ | random: mean IoU ↑ |" in markdown
    assert "random: The weights of this model are random" in html
    assert "pretrained: The weights" not in html
    assert "All folders have the same test samples" in html
    labels = re.findall(r"<!-- (.*?) -->", (tmp_path / "out" / "figures" / "boxes.svg").read_text())
    assert {"pretrained", "random"} <= set(labels)
    assert '<h2 id="position">position</h2>' in html


def test_what_folders_do_not_share_is_said(tmp_path: Path) -> None:
    runs(tmp_path / "a" / "runs")
    runs(tmp_path / "b" / "runs", split={**result().split, "digest": "8" * 64}, primary="share_above_0.5")
    write_report([tmp_path / "a" / "runs", tmp_path / "b" / "runs"], tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert html.count("<th>a/runs: ") == html.count("<th>b/runs: ") == 1, "each first metric has a table of its own"
    runs(tmp_path / "c" / "runs", split={**result().split, "digest": "8" * 64})
    write_report([tmp_path / "a" / "runs", tmp_path / "c" / "runs"], tmp_path / "out")
    html = (tmp_path / "out" / "report.html").read_text()
    assert "The folders have different splits: numbers may differ for that reason alone." in html
    with pytest.raises(ProbeError, match="is named twice"):
        write_report([tmp_path / "a" / "runs", tmp_path / "a" / "runs"], tmp_path / "out")


def test_every_metric_of_every_task_has_its_name_and_direction() -> None:
    """Against a list of its own: what falls as answers get better."""
    names = {name for task in tasks.names() for name in tasks.load(task).metric_names}
    derived = {metric for own in derived_metrics.EVERY for metric in own.metrics}
    assert names | derived | {"negative_loss"} == METRIC_NAMES.keys()
    falling = {"calibration_error", "mae", "relative_error", "centre_error", "size_error", "lpips", "gram_distance"}
    assert {name for name in METRIC_NAMES if lower_is_better(name)} == {
        *(*falling, "mean_rank", "centre_error_pixels", "side_error_pixels")
    }


def test_figures_go_dark_with_the_page(tmp_path: Path) -> None:
    """All inks and grounds are variables in the page, and none in the files."""
    runs(tmp_path / "runs")
    html = write_report(tmp_path / "runs", tmp_path / "out").read_text()
    svg = html[html.index("<svg") : html.index("</svg>")]
    assert "var(--ink, #222222)" in svg
    assert not re.findall(r": #(?:222222|000000|ffffff|7a7a7a)\b", svg)
    assert "var(" not in (tmp_path / "out" / "figures" / "boxes.svg").read_text()
    style = html[: html.index("</style>")]
    dark = style[style.index("prefers-color-scheme: dark") :]
    for variable in set(re.findall(r"var\((--[a-z]+)", svg)):
        assert f"{variable}:" in dark.split("}")[0], variable
