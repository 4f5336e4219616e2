"""Makes samples of questions about images, the same for every layout of question sets."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from foresight_cache.datasets import DEFAULT_RULES, BrokenSample, FolderRules, ListedSample
from foresight_cache.datasets.parts.listed_samples import unmeasured_sample
from foresight_cache.datasets.parts.safe_paths import path_inside
from foresight_cache.errors import BadSample
from foresight_cache.records import is_text, shown

_PLACEHOLDER = re.compile(r"\{question\}|(?<!\S)\{\}(?!\S)")
"""What a template has where a question, or a word of it, was to be put in."""


class Questions:
    """Maker of the samples of one split; all questions about one image are one group, in whichever split they are.

    Ids are `<name>/<split>/<image without suffix>-q<number of the question about it>`, unless questions have their own.
    """

    def __init__(self, name: str, split: str, root: Path, rules: FolderRules = DEFAULT_RULES) -> None:
        self._follow_links = rules.follow_links
        self._name, self.split, self._root = name, split, root
        self._questions_of: Counter[str] = Counter()
        self._ids: set[str] = set()

    def sample(
        self,
        qa: Mapping[str, Any],
        image: Any,
        *,
        where: str,
        folders: Sequence[Path],
        own_id: Any = None,
        group: str | None = None,
    ) -> ListedSample:
        """Returns the sample of a question about an image in one of the folders; `where` is its line in the table.

        `group` is what questions share that must not be parted, where that is more than the image.
        """
        try:
            paths = [path_inside(folder, image, where, "image", self._follow_links) for folder in folders]
            path = next((path for path in paths if path.exists()), paths[0])
            sample_id = f"{self._name}/{self.split}/{self._own_name(str(Path(image).with_suffix('')), own_id)}"
            annotations = {"qa": _checked(qa)}
        except BadSample as error:
            found = (folder / image for folder in folders if is_text(image) and (folder / image).is_file())
            return self.broken(str(error), where, next(found, None))
        self._ids.add(sample_id)
        group = f"{self._name}/{Path(image).with_suffix('').as_posix() if group is None else group}"
        return unmeasured_sample(sample_id, self._root, path, "image", annotations, group=group)

    def broken(self, reason: str, where: str, path: Path | None = None) -> BrokenSample:
        """Returns the sample of a question that cannot be used, `path` being its image where that is there."""
        return BrokenSample(id=f"{self._name}/{self.split}/{where}", reason=reason, path=path)

    def _own_name(self, stem: str, own_id: Any) -> str:
        number = self._questions_of[stem]
        self._questions_of[stem] += 1
        name = f"{stem}-q{number}" if own_id is None else own_id
        if not is_text(name):
            raise BadSample(f"its id is {shown(name)}, expected a text")
        if f"{self._name}/{self.split}/{name}" in self._ids:
            raise BadSample(f"its id {name!r} is that of an earlier question; ids of a split must differ")
        return name


def _checked(qa: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a question in the form of `Sample.annotations`. Raises `BadSample`."""
    if not is_text(qa.get("question")) or not qa["question"].strip():
        raise BadSample(f"its question is {shown(qa.get('question'))}, expected a text")
    if left := _PLACEHOLDER.search(qa["question"]):
        raise BadSample(f"its question has the placeholder {left[0]!r}, which was to be replaced")
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
        if (text := qa.get(key)) is not None:
            if not is_text(text):
                raise BadSample(f"its {key} is {shown(text)}, expected a text")
            annotation[key] = text
    return annotation
