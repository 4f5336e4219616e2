"""From a row of a table of questions to a sample: what the families of question sets have in common."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets import BrokenSample, RawSample
from foresight_cache.datasets.parts.safe_paths import inside, is_text, shown
from foresight_cache.errors import BadSample
from foresight_cache.samples import Sample


class Questions:
    """Samples of one split. Ids are `<name>/<split>/<image without suffix>-q<number of the question about it>`.

    All questions about one image are in one group, in whichever split they are.
    """

    def __init__(self, name: str, split: str, root: Path) -> None:
        self._name, self._split, self._root = name, split, root
        self._asked: Counter[str] = Counter()
        self._ids: set[str] = set()

    def record(
        self, qa: Mapping[str, Any], image: Any, *, place: str, folders: Sequence[Path], own_id: Any = None
    ) -> RawSample | BrokenSample:
        """A question about an image that lies in one of the folders; `place` says where it stands in the table."""
        try:
            paths = [inside(folder, image, place, "image") for folder in folders]
            path = next((each for each in paths if each.exists()), paths[0])
            sample_id = f"{self._name}/{self._split}/{self._own_name(str(Path(image).with_suffix('')), own_id)}"
            annotations = {"qa": _checked(qa)}
        except BadSample as error:
            return BrokenSample(id=f"{self._name}/{self._split}/{place}", reason=str(error))
        self._ids.add(sample_id)
        sample = Sample(
            id=sample_id,
            dataset=self._name,
            split=self._split,
            group=f"{self._name}/{Path(image).with_suffix('').as_posix()}",
            media="image",
            file_name=path.relative_to(self._root).as_posix(),
            width=0,
            height=0,
            annotations=annotations,
        )
        return RawSample(sample=sample, path=path)

    def _own_name(self, stem: str, own_id: Any) -> str:
        number = self._asked[stem]
        self._asked[stem] += 1
        name = f"{stem}-q{number}" if own_id is None else own_id
        if not is_text(name):
            raise BadSample(f"its id is {shown(name)}, expected a text")
        if f"{self._name}/{self._split}/{name}" in self._ids:
            raise BadSample(f"its id {name!r} is that of an earlier question; ids of a split must differ")
        return name


def _checked(qa: Mapping[str, Any]) -> dict[str, Any]:
    """A question in the form of `Sample.annotations`. Raises `BadSample`."""
    if not is_text(qa.get("question")) or not qa["question"].strip():
        raise BadSample(f"its question is {shown(qa.get('question'))}, expected a text")
    answer, hallucinated = qa.get("answer"), qa.get("hallucinated")
    if answer is not None and not is_text(answer):
        raise BadSample(f"its answer is {shown(answer)}, expected a text or null")
    if hallucinated is not None and not isinstance(hallucinated, bool):
        raise BadSample(f"its 'hallucinated' is {shown(hallucinated)}, expected true, false or null")
    found: dict[str, Any] = {"question": qa["question"].strip(), "answer": answer, "hallucinated": hallucinated}
    references, kind = qa.get("references"), qa.get("type")
    if references is not None:
        if not isinstance(references, list) or not all(map(is_text, references)):
            raise BadSample(f"its references are {shown(references)}, expected a list of texts")
        found["references"] = references
    if kind is not None:
        if not is_text(kind):
            raise BadSample(f"its type is {shown(kind)}, expected a text")
        found["type"] = kind
    return found
