"""The launcher of this process: it does the work itself, beside any others that were started with the same command."""

from collections.abc import Callable

from pipelines.launchers.work import Done, Work


class LocalLauncher:
    """A `Launcher`."""

    def run(self, work: Work, done: Callable[[Done], None]) -> None:
        work.here(done)
