"""Manifests: what comes with the project, and what a user is told of a wrong one."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from foresight_cache import datasets
from foresight_cache.datasets import manifests
from foresight_cache.datasets.manifests import Manifest, load
from foresight_cache.errors import ManifestError, UnknownName
from foresight_cache.samples import Sample

FOLDER = Path(__file__).resolve().parents[3] / "data_manifests"

GOOD = """\
# my own set
name: kitchen
title: Things in my kitchen
family: coco
media: image
annotations: [objects]
licence: mine
obtain: ask me
"""


def problem(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        Manifest.parse(text, "kitchen.yaml")
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_manifest_of_the_project(path: Path) -> None:
    manifest = load(path.stem)
    assert manifest.name == path.stem
    assert manifest == load(path)
    raw = yaml.safe_load(path.read_text())
    stored = manifest.to_json()
    assert {name: value for name, value in stored.items() if name in raw} == {
        name: value.strip() if isinstance(value, str) else value for name, value in raw.items()
    }
    assert all(stored[name] in (None, [], {}) for name in stored.keys() - raw.keys())
    datasets.reader(manifest.family)
    if manifest.generator:
        datasets.generator(manifest.generator)


def test_all_are_listed() -> None:
    assert set(manifests.names()) == {path.stem for path in FOLDER.glob("*.yaml")} >= {"coco", "shapes"}


def test_each_manifest_is_described() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [name for name in manifests.names() if f"`{name}`" not in page] == []
    assert [key for key in Manifest.__slots__ if f"`{key}`" not in page] == []


def test_a_users_own_file(tmp_path: Path) -> None:
    path = tmp_path / "kitchen.yaml"
    path.write_text(GOOD)
    assert load(path) == load(str(path)) == Manifest.parse(GOOD, "x")
    assert load(path).annotations == ("objects",)
    assert load(path).splits == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD.replace("licence:", "license:"),
            "line 7: unknown key 'license'; did you mean 'licence'? Keys: name, title",
        ),
        (GOOD + "zzz: 1\n", "line 9: unknown key 'zzz'; Keys: name, title"),
        (GOOD.replace("family: coco", "family: coca"), "line 4: unknown dataset family 'coca'; did you mean 'coco'?"),
        (GOOD.replace("title:", "# title:"), "line 8: the key 'title' is missing; expected a line of text"),
        (GOOD.replace("image", "picture"), "line 5: 'media' is 'picture', expected 'image' or 'clip'"),
        (GOOD.replace("[objects]", "objects"), "line 6: 'annotations' is 'objects', expected a list of: objects"),
        (
            GOOD.replace("[objects]", "[objects, boxes]"),
            "line 6: 'annotations' is ['objects', 'boxes'], expected a list of: objects",
        ),
        (
            GOOD.replace("kitchen", "../kitchen", 1),
            "line 2: 'name' is '../kitchen', expected a name of letters, digits",
        ),
        (GOOD.replace("kitchen", "[a]", 1), "line 2: 'name' is ['a'], expected a name of letters, digits"),
        (GOOD + "splits: [train, 7]\n", "line 9: 'splits' is ['train', 7], expected a list of split names"),
        (GOOD + "splits: [a, a]\n", "line 9: 'splits' is ['a', 'a'], expected a list of split names"),
        (GOOD + "splits: [../a]\n", "line 9: 'splits' is ['../a'], expected a list of split names"),
        (GOOD + "splits: [a]\nexpected: 5\n", "line 10: 'expected' is 5, expected a number of samples, 1 or more, for"),
        (GOOD + "splits: [a]\nexpected:\n  a: 5\n  b: 6\n", "line 12: unknown split 'b'; known: a"),
        (GOOD + "splits: [a]\nexpected:\n  a: many\n", "line 11: 'expected' has 'a': 'many', expected a number of"),
        (GOOD + "splits: [a]\nexpected:\n  a: 5\n  a: 5\n", "line 12: the key 'a' is given twice, first on line 11"),
        (GOOD + "layouts: [../up]\n", "line 9: 'layouts' is ['../up'], expected a list of paths below ROOT"),
        (
            GOOD + "annotation_files: [/etc/passwd]\n",
            "line 9: 'annotation_files' is ['/etc/passwd'], expected a list of paths",
        ),
        (
            GOOD + "checksums:\n  a.json: md5:12\n",
            "line 10: 'checksums' has 'a.json': 'md5:12', expected md5:…, sha1:…",
        ),
        (GOOD + f"checksums:\n  ../a: md5:{'0' * 32}\n", "line 10: 'checksums' has '../a': 'md5:0000"),
        (GOOD + "homepage: javascript:x\n", "line 9: 'homepage' is 'javascript:x', expected an http(s) address"),
        (GOOD + "group: '(a)(b)'\n", "line 9: 'group' is '(a)(b)', expected a regular expression with one (group)"),
        (GOOD + "group: '(a'\n", "line 9: 'group' is '(a', expected a regular expression with one (group)"),
        (GOOD + "count: 5\n", "line 9: 'count' is given without 'generator'"),
        (GOOD + "generator: shapes\n", "line 9: 'generator' is given without 'count'"),
        (GOOD + "generator: shapes\ncount: yes\n", "line 10: 'count' is True, expected a number of samples, 1 or more"),
        (GOOD + "generator: shopes\ncount: 1\n", "line 9: unknown dataset generator 'shopes'; did you mean 'shapes'"),
        (GOOD + "name: again\n", "line 9: the key 'name' is given twice, first on line 2"),
        (GOOD + "\tx: 1\n", "line 9: not valid YAML: found character '\\t' that cannot start any token"),
        (GOOD + "x: [1\n", "line 10: not valid YAML: "),
        (GOOD + "x: *nowhere\n", "line 9: not valid YAML: found undefined alias 'nowhere'"),
        (GOOD + "x: !!python/object/apply:os.getcwd []\n", "line 9: not valid YAML: could not determine a constructor"),
        (GOOD + "---\nname: second\n", "line 9: not valid YAML: but found another document"),
        ("", "line 1: expected keys with values, such as 'name: my-set'"),
        ("- a\n- b\n", "line 1: expected keys with values, such as 'name: my-set'"),
        ("a: &a [*a]\n", "line 1: not valid YAML: found unconstructable recursive node"),
        (GOOD + "x: \x00\n", "line 9: not valid YAML: special characters are not allowed"),
        (GOOD + "x: 2020-13-45\n", "line 9: not valid YAML: month must be in 1..12"),
        (GOOD + "? [a, b]\n: c\n", "line 9: expected a word as key"),
        ("x: " + "[" * 100_000, "line 1: not valid YAML: too deeply nested"),
    ],
)
def test_a_wrong_manifest_gives_its_line(text: str, message: str) -> None:
    assert problem(text).startswith(f"kitchen.yaml, {message}")


def test_nested_aliases_do_not_grow() -> None:
    """A few lines that would print as gigabytes."""
    layers = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 12))
    assert "unknown key 'x0'" in problem(GOOD + "x0: &x0 [lol]\n" + layers)
    hidden = "title: &a [lol]\nfamily: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n"
    assert len(problem(hidden)) < 300


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"unknown dataset 'coc'; did you mean 'coco'.*Known: .*coco"):
        load("coc")
    missing = tmp_path / "no.yaml"
    with pytest.raises(ManifestError) as caught:
        load(str(missing))
    assert str(caught.value).startswith(f"there is no manifest at {missing}; expected a YAML file, or one of: ")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    with pytest.raises(ManifestError, match=r"binary.yaml is not UTF-8 text \(byte 6\); a manifest is a YAML file"):
        load(binary)
    binary.write_bytes(b" " * 1_100_000)
    with pytest.raises(ManifestError, match=r"has 1100000 bytes; a manifest has at most 1048576"):
        load(binary)


def test_the_digest_is_of_what_decides_about_the_samples() -> None:
    base = Manifest.parse(GOOD, "x").digest
    assert Manifest.parse(GOOD + "# a comment\n", "x").digest == base
    assert Manifest.parse(GOOD.replace("ask me", "ask me kindly") + "citation: me\n", "x").digest == base
    counted = "splits: [train]\n", "expected: {train: 5}\nlayouts: [a/b]\n"
    assert Manifest.parse(GOOD + "".join(counted), "x").digest == Manifest.parse(GOOD + counted[0], "x").digest
    assert Manifest.parse(GOOD.replace("kitchen", "cellar", 1), "x").digest != base
    assert Manifest.parse(GOOD + "splits: [train]\n", "x").digest != base
    assert Manifest.parse(GOOD + "group: '(a)'\n", "x").digest != base


def test_groups() -> None:
    sample = Sample(
        id="kitchen/train/film3_0007",
        dataset="kitchen",
        split="train",
        group="kitchen/train/film3_0007",
        media="image",
        file_name="train/film3_0007.jpg",
        width=1,
        height=1,
    )
    assert Manifest.parse(GOOD, "x").group_of(sample) == sample.id
    assert Manifest.parse(GOOD + "group: '(film\\d+)_'\n", "x").group_of(sample) == "kitchen/film3"
    assert Manifest.parse(GOOD + "group: '(movie)'\n", "x").group_of(sample) == sample.id
    of_its_reader = replace(sample, group="kitchen/cup")
    assert Manifest.parse(GOOD, "x").group_of(of_its_reader) == "kitchen/cup"
