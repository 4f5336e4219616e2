"""Why a probe reads zero: the first probes of the studies as they were written, and one thing changed at a time."""
