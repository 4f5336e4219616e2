"""The parts of the comparison, each of which makes its caches and readings on its own, in a process beside others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from foresight_cache.errors import ProbeError
from foresight_cache.runtime.progress import silent
from foresight_probes.metrics.perceptual import PerceptualDistance
from pipelines.discrepancy import box_readings as boxes
from pipelines.discrepancy import planted_readings as planted
from pipelines.discrepancy.picture_readings import picture_readings
from pipelines.discrepancy.readings import Reading
from pipelines.discrepancy.scenes import TINY, SceneCache, copy_in_order, hook_order

BLOCK, EMBEDDING, TINY_POINT = "vit.block_09", "vit.patch_embed", "vit.pre_merge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What is compared, and where it is kept."""

    out: Path
    model: str
    scenes: int
    lpips_weights: Path | None

    @property
    def many(self) -> SceneCache:
        """Scenes of one to five objects by the model."""
        return SceneCache(
            dataset="shapes", scenes=self.scenes, model=self.model, points=(EMBEDDING, BLOCK), name="many"
        )

    @property
    def one(self) -> SceneCache:
        """Scenes of one object by the model."""
        return SceneCache(dataset="single-shape", scenes=self.scenes, model=self.model, points=(BLOCK,), name="one")

    @property
    def tiny(self) -> SceneCache:
        """Scenes of one to five objects by a tiny Qwen2.5-VL."""
        return SceneCache(dataset="shapes", scenes=self.scenes, model=TINY, points=(TINY_POINT,), name="tiny")

    def scenes_of(self, wanted: SceneCache, point: str, *, with_hook: bool) -> boxes.Scenes:
        """Makes a cache, and with it one in the order of a hook."""
        cache = wanted.make(self.out, silent)
        hooked = None
        if with_hook:
            place = self.out / "caches" / f"{Path(cache.path).name}-hook"
            hooked = copy_in_order(cache, point, hook_order(cache[point].grid_of(0)), place)
        return boxes.Scenes(cache=cache, hooked=hooked, point=point)


def _many(request: Request) -> list[Reading]:
    scenes = request.scenes_of(request.many, BLOCK, with_hook=True)
    plain = boxes.plain_readings(scenes, boxes.OF_MANY, boxes.MANY)
    return [*plain, *boxes.product_readings(scenes, boxes.PRODUCT_MANY, boxes.MANY, request.out / "runs")]


def _one(request: Request) -> list[Reading]:
    scenes = request.scenes_of(request.one, BLOCK, with_hook=False)
    plain = boxes.plain_readings(scenes, boxes.OF_ONE, boxes.ONE)
    return [*plain, *boxes.product_readings(scenes, boxes.PRODUCT_ONE, boxes.ONE, request.out / "runs")]


def _tiny(request: Request) -> list[Reading]:
    scenes = request.scenes_of(request.tiny, TINY_POINT, with_hook=True)
    plain = boxes.plain_readings(scenes, boxes.OF_TINY, boxes.OF_RANDOM)
    return [*plain, *boxes.product_readings(scenes, boxes.PRODUCT_TINY, boxes.OF_RANDOM, request.out / "runs")]


def _pictures(request: Request) -> list[Reading]:
    distance = distance_of(request.lpips_weights)
    if isinstance(distance, str):
        return []
    scenes = request.scenes_of(request.many, BLOCK, with_hook=False)
    order = hook_order(scenes.cache[BLOCK].grid_of(0))
    return picture_readings(scenes.cache, (BLOCK, EMBEDDING), scenes.sides(), order, distance)


def distance_of(weights: Path | None) -> PerceptualDistance | str:
    """Returns LPIPS, or one sentence that says why there is none."""
    try:
        return PerceptualDistance("alex", weights)
    except ProbeError as error:
        return f"the rows of LPIPS are left out: {error}"


PARTS: Mapping[str, Callable[[Request], list[Reading]]] = MappingProxyType(
    {
        "many": _many,
        "one": _one,
        "pictures": _pictures,
        "tiny": _tiny,
        "width": lambda request: planted.WIDTH.readings(request.out),
        "detection": lambda request: planted.DETECTION.readings(request.out),
    }
)
"""Parts by name, in the order of the tables; each may be made in a process of its own."""
LONGEST_FIRST = ("many", "one", "detection", "width", "pictures", "tiny")
