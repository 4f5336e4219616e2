"""Ways in which a work gets done: by this process, on a Ray cluster, or by what a scheduler starts (`templates/`)."""

from typing import TYPE_CHECKING

from foresight_cache.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from pipelines.launchers.work import Launcher

ENGINES = ("local", "ray")


def launcher_of(engine: str, address: str | None = None, workers: int | None = None) -> "Launcher":
    """Returns the launcher of a name. Raises `UsageError`, also for what another engine takes, and `MissingExtra`."""
    from pipelines.launchers.local import LocalLauncher
    from pipelines.launchers.on_ray.cluster import load_ray
    from pipelines.launchers.on_ray.driver import RayLauncher

    if engine not in ENGINES:
        raise UnknownName("engine", engine, ENGINES)
    if engine == "ray":
        load_ray()
        return RayLauncher(address, workers)
    if address or workers:
        option = "--ray-address" if address else "--ray-workers"
        raise UsageError(f"{option} is for --engine ray; give that too, or leave it out")
    return LocalLauncher()
