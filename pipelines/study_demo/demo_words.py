"""Indices of the words of drawn images in the demo's tiny model, for studies of what tokens mean in words."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.progress_bar import progress, say
from pipelines.study_demo.drawn_caches import MODEL, drawn_dataset

if TYPE_CHECKING:
    from foresight_probes.studies.study import Study

PHRASES = ("a {0}", "a {0} on a plain background", "one {0} and one {1}", "the {0} above the {1}", "no {0}")
"""What is said of two names of objects."""


def make_indices(study: "Study", out: Path) -> list[str]:
    """Runs the tiny model over phrases of the names of drawn objects, for datasets whose tokens are looked up.

    The shards are those of `make_caches`, in the same folder. Keeps what an earlier run has finished.

    Returns: places of indices as `planned_words.indices_by_dataset` takes them, `<the study's name of a
        dataset>=<folder>`.
    """
    places = []
    for name in dict.fromkeys(group.dataset for group in study.words.values()):
        index = out / "indices" / name
        say(f"index of words in {MODEL} for {name} -> {index}")
        _index(_corpus(out / "shards" / drawn_dataset(study, name), out / "indices" / f"{name}.txt"), index)
        places.append(f"{name}={index}")
    return places


def _corpus(shards: Path, path: Path) -> Path:
    from foresight_cache.runtime.durable_files import write_file
    from foresight_cache.shards import open_shard, open_shards

    opened = open_shards(shards)
    samples = (sample for number in range(len(opened.shards)) for sample in open_shard(opened, number).samples)
    objects = (each for sample in samples for each in sample.annotations.get("objects") or ())
    names = sorted({str(each["category"]) for each in objects})
    phrases = [phrase.format(one, other) for one in names for other in names for phrase in PHRASES]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, "".join(f"{phrase}\n" for phrase in dict.fromkeys(phrases)).encode())
    return path


def _index(corpus: Path, index: Path) -> None:
    from foresight_cache.encoders import LoadOptions, load
    from foresight_cache.text_index.corpus import read_corpus
    from foresight_cache.text_index.indexing import Indexing, make_index
    from foresight_cache.text_index.options import IndexOptions

    plan = Indexing(read_corpus(corpus), load(MODEL, LoadOptions()), IndexOptions(), index)
    with progress("index", plan.rows_left(), "rows") as advance:
        make_index(plan, advance)
