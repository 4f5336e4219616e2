"""Progress of long work for programs that read a log: a JSON object a line, beside the JSON of the result."""

import json
from datetime import UTC, datetime

from pipelines.progress_lines import ProgressLines


class ProgressRecords(ProgressLines):
    """Reports as `ProgressLines` does, and always at the end.

    A line is an object with `progress` (what is at work), `time` (ISO 8601, UTC), `unit`, `done`, `total` (null where
    it is not known), `bytes`, `seconds`, the means `per_second` and `bytes_per_second`, `seconds_left` (null where it
    is not known), `stages` (share of the time by stage) and `over`.
    """

    _always_ends = True

    def _line(self, seconds: float, *, over: bool) -> str:
        rate = self._done / max(seconds, 1e-3)
        left = None if self._total is None or not rate else max(0, self._total - self._done) / rate
        record = {
            "progress": self._label,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "unit": self._unit,
            "done": self._done,
            "total": self._total,
            "bytes": self._size,
            "seconds": round(seconds, 3),
            "per_second": round(rate, 3),
            "bytes_per_second": round(self._size / max(seconds, 1e-3)),
            "seconds_left": None if left is None else round(left, 1),
            "stages": {name: round(share, 4) for name, share in self._times.shares().items()} if self._times else {},
            "over": over,
        }
        return json.dumps(record)
