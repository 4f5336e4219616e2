"""Makes samples of questions about images, the same for every layout of question sets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.parts.listed_samples import unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import path_inside
from foresight_cache.errors import BadSample
from foresight_cache.records import is_text, shown


class Questions:
    """Maker of the samples of one split; all questions about one image are one group, in whichever split they are.

    Ids are `<name>/<split>/<image without suffix>-q<number of the question about it>`.
    """

    def __init__(self, name: str, split: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._follow_links = rules.follow_links
        self._name, self._split, self._root = name, split, root
        self._questions_of: Counter[str] = Counter()
        self._ids: set[str] = set()

    def sample(
        self, qa: Mapping[str, Any], image: Any, *, where: str, folders: Sequence[Path], own_id: Any = None
    ) -> ListedSample:
        """Returns the sample of a question about an image in one of the folders; `where` is its line in the table."""
        try:
            paths = [path_inside(folder, image, where, "image", self._follow_links) for folder in folders]
            path = next((path for path in paths if path.exists()), paths[0])
            sample_id = f"{self._name}/{self._split}/{self._own_name(str(Path(image).with_suffix('')), own_id)}"
            annotations = {"qa": _checked(qa)}
        except BadSample as error:
            found = (folder / image for folder in folders if is_text(image) and (folder / image).is_file())
            return BrokenSample(id=f"{self._name}/{self._split}/{where}", reason=str(error), path=next(found, None))
        self._ids.add(sample_id)
        group = f"{self._name}/{Path(image).with_suffix('').as_posix()}"
        return unmeasured_sample(sample_id, self._root, path, "image", annotations, group=group)

    def _own_name(self, stem: str, own_id: Any) -> str:
        number = self._questions_of[stem]
        self._questions_of[stem] += 1
        name = f"{stem}-q{number}" if own_id is None else own_id
        if not is_text(name):
            raise BadSample(f"its id is {shown(name)}, expected a text")
        if f"{self._name}/{self._split}/{name}" in self._ids:
            raise BadSample(f"its id {name!r} is that of an earlier question; ids of a split must differ")
        return name


def _checked(qa: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a question in the form of `Sample.annotations`. Raises `BadSample`."""
    if not is_text(qa.get("question")) or not qa["question"].strip():
        raise BadSample(f"its question is {shown(qa.get('question'))}, expected a text")
    answer, hallucinated = qa.get("answer"), qa.get("hallucinated")
    if answer is not None and not is_text(answer):
        raise BadSample(f"its answer is {shown(answer)}, expected a text or null")
    if hallucinated is not None and not isinstance(hallucinated, bool):
        raise BadSample(f"its 'hallucinated' is {shown(hallucinated)}, expected true, false or null")
    annotation: dict[str, Any] = {"question": qa["question"].strip(), "answer": answer, "hallucinated": hallucinated}
    references = qa.get("references")
    if references is not None:
        if not isinstance(references, list) or not all(map(is_text, references)):
            raise BadSample(f"its references are {shown(references)}, expected a list of texts")
        annotation["references"] = references
    for key in ("type", "source"):
        if qa.get(key) is not None:
            if not is_text(qa[key]):
                raise BadSample(f"its {key} is {shown(qa[key])}, expected a text")
            annotation[key] = qa[key]
    return annotation
