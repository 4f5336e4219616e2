"""A cache, or a part of it, is copied into another place: refused, surveyed, joined, copied and told about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from foresight_cache.commands import repair_command
from foresight_cache.copying.copier import copy_shards
from foresight_cache.copying.copy_plan import CopyPlan, Survey, survey
from foresight_cache.copying.parts import Part
from foresight_cache.errors import CacheError, CorruptCache, UsageError
from foresight_cache.format.merging import merged_layout
from foresight_cache.format.stores.writable import WritableStore
from foresight_cache.reader import Cache
from foresight_cache.runtime.progress import Advance, silent
from foresight_cache.writer import CacheWriter

_SHOWN = 20
"""Problems that an error lists."""


@dataclass(frozen=True)
class Move:
    """A copy that was checked and surveyed; nothing is written before `run`."""

    plan: CopyPlan

    def __post_init__(self) -> None:
        """Raises `UsageError`, `FingerprintMismatch` and `NotACache` where the target is another thing."""
        if self.plan.target.place == self.plan.source.path:
            raise UsageError(f"{self.plan.source.path} is both source and target of the copy; name two places")
        self.plan.check_target()

    @cached_property
    def survey(self) -> Survey:
        """What the target lacks. Raises `CacheError` where its disk cannot hold it."""
        found = survey(self.plan)
        found.check_room(self.plan)
        return found

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of what is at the target already, in sentences."""
        different = self.survey.different
        if not different:
            return []
        return [
            f"{len(different)} objects of {self.plan.target.place} were computed apart from those of "
            f"{self.plan.source.path} and stay as they are, the first {different[0]}"
        ]

    def run(self, advance: Advance = silent, say: Callable[[str], None] = lambda _: None) -> None:
        """Copies what is missing; see `copy_shards`.

        Raises `CorruptCache`, after all others are copied, for objects that are damaged, and `CacheError` where the
        source has not committed all that was asked for.
        """
        plan = self.plan
        merged = merged_layout(plan.target, plan.layout)
        if self.survey.sizes:
            plan.target.check_writable()
        with CacheWriter(plan.target, plan.layout, merged):
            pass  # joined: metadata is there
        copied = copy_shards(plan, self.survey.sizes, advance, say)
        require_no_problems([*self.survey.problems, *copied], plan)
        if absent := self.survey.absent:
            shards = len(plan.part.shards)
            raise CacheError(
                f"{plan.source.path} has {shards - len(absent)} of {shards} shards committed with all that was asked "
                f"for; what it has is in {plan.target.place} now; run the same command again when it has the others"
            )


def planned(source: Cache, target: WritableStore, part: Part) -> Move:
    """Returns the copy of a part of a cache. Raises what `Move` raises."""
    return Move(CopyPlan(source=source, target=target, part=part))


def require_no_problems(problems: Sequence[str], plan: CopyPlan) -> None:
    """Raises `CorruptCache` that lists what could not be copied, as its shards are not committed."""
    if not problems:
        return
    several = "" if len(problems) == 1 else "s"
    shown = [*problems[:_SHOWN], *([f"{len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else [])]
    start = f"{len(problems)} object{several} could not be copied to {plan.target.place}, all others are there"
    source, target = plan.source.path, plan.target.place
    is_in_copy = any(f"{target}/" in problem and f"{source}/" not in problem for problem in problems)
    mend = repair_command(target, source) if is_in_copy else repair_command(source, "COPY")
    remedy = f"mend what is damaged, as by '{mend}', and run it again"
    raise CorruptCache("\n  ".join([f"{start}; {remedy}", *shown]))
