"""How many quarantined samples of a cache are accepted, and what is advised where they are more."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from foresight_cache.errors import DatasetError
from foresight_cache.extraction.extraction_loop import check_share_of_bad
from foresight_cache.reader import Cache


class Rows(SimpleNamespace):
    """Cache of which nothing but its rows and its place are looked at."""

    def __len__(self) -> int:
        return len(self.rows)


def cache(bad: int, good: int) -> Cache:
    rows: list[dict[str, Any]] = [{"status": "bad", "reason": "it is empty"}] * bad + [{"status": "ok"}] * good
    return cast(Cache, Rows(rows=rows, path="C"))


@pytest.mark.parametrize(("bad", "good", "allowed"), [(0, 3, 0.0), (1, 3, 0.25)])
def test_as_many_as_are_allowed_are_accepted(bad: int, good: int, allowed: float) -> None:
    check_share_of_bad(cache(bad, good), allowed)


def test_some_may_be_accepted() -> None:
    with pytest.raises(DatasetError, match=r"1 of 4 samples of C .* is empty; the others .* with --max-bad 0\.25$"):
        check_share_of_bad(cache(1, 3), 0)


@pytest.mark.parametrize("bad", [1, 3])
def test_none_left_is_never_advised(bad: int) -> None:
    with pytest.raises(DatasetError) as caught:
        check_share_of_bad(cache(bad, 0), 0)
    assert str(caught.value) == (
        f"{bad} of {bad} samples of C could not be used, the first because it is empty; none is extracted; see "
        "'foresight inspect --bad'"
    )
