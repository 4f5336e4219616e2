"""What people, or an outside judge, are asked about the findings of a study."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foresight_cache.errors import UsageError

if TYPE_CHECKING:
    from foresight_probes.studies.evidence import Evidence
    from foresight_probes.studies.study import Study


@dataclass(frozen=True, kw_only=True, slots=True)
class Exports:
    """Folders for what people, or an outside judge, are asked; None for none."""

    raters: Path | None
    judge: Path | None
    verdicts: Path | None = None
    """File of a judge's verdicts, which are of no use where nothing is looked up."""

    def require(self, study: "Study", *, dry_run: bool) -> None:
        """Raises `UsageError` where there will be nothing to ask."""
        for folder, option, has, key in (
            (self.raters, "--raters", study.raters is not None, "raters"),
            (self.judge, "--export-judge", bool(study.words), "words"),
            (self.verdicts, "--import-judge", bool(study.words), "words"),
        ):
            if folder and (dry_run or not has):
                why = "--dry-run finds nothing out" if dry_run else f"{study.name} has no key '{key}'"
                raise UsageError(f"there is nothing to judge, since {why}; leave out {option}")

    def write(self, evidence: "Evidence", say: Callable[[str], None]) -> None:
        """Writes what is asked, and says where. Raises `ProbeError` where there is nothing, or no place."""
        from foresight_probes.lens.judge_export import export_items
        from foresight_probes.studies.rater_export import export

        if self.raters and evidence.study.raters:
            pairs = export(evidence, evidence.study.raters, self.raters)
            say(f"{pairs} pairs of pictures to judge are in {self.raters}; keep its key.csv from those who judge")
        if self.judge and not evidence.words:
            raise UsageError("there is nothing to judge, since no words were looked up; give an index with --index")
        for name, own in evidence.words.items():
            if self.judge is None:
                break
            folder = self.judge / name if len(evidence.words) > 1 else self.judge
            export_items(own.items, own.cache, folder)
            say(f"{len(own.items):,} items to judge are in {folder}; keep its key.csv from the judge")
