"""What a command is given, as work that can be carried out: everything that can be wrong is found here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.points import PIXELS
from foresight_cache.reader import Cache, open_cache
from foresight_probes.adapters.aligned import Aligned
from foresight_probes.adapters.measuring import Pictures
from foresight_probes.adapters.plan import AdapterPlan, AdapterRequest
from foresight_probes.adapters.running import AdapterWork, prepare

LPIPS_NET = "alex"
"""Trunk of LPIPS, as of the task `reconstruction`."""


def open_work(
    tokens: Sequence[str],
    latents: str,
    request: AdapterRequest,
    out: Path,
    *,
    decode: bool = True,
    vae: str | None = None,
    lpips_weights: Path | None = None,
    shares: Sequence[float] = (),
) -> AdapterWork:
    """Opens caches and decoder and checks them.

    Args:
        tokens: Places of caches of tokens.
        latents: Place of the cache of latents of the same clips.
        request: What is trained.
        out: Folder of the results, which need not exist.
        decode: Whether latents are decoded and pictures compared.
        vae: The VAE, where it is not to be found by the name in the cache.
        lpips_weights: Folder with the trunk of LPIPS; None for torch's cache.
        shares: Shares of tokens for the curve of pruning.

    Raises: What `AdapterPlan`, `Decoder` and `prepare` raise.
    """
    plan = AdapterPlan(Aligned(tuple(map(open_cache, tokens)), open_cache(latents)), request, out)
    work = AdapterWork(plan, shares=tuple(shares))
    if not decode:
        reason = "it was not asked for (--no-decode)"
        work = AdapterWork(
            plan, shares=tuple(shares), measured_by={"pictures": None}, not_measured={"pictures": reason}
        )
        prepare(work)
        return work
    prepare(work)  # before a model is loaded
    pictures, versions, not_measured = _pictures(plan.aligned, plan.aligned.latents, vae, lpips_weights, request)
    return AdapterWork(
        plan,
        pictures=pictures,
        measured_by={"pictures": versions},
        not_measured=not_measured,
        shares=tuple(shares),
    )


def _pictures(
    aligned: Aligned, latents: Cache, vae: str | None, weights: Path | None, request: AdapterRequest
) -> tuple[Pictures, dict[str, Any], dict[str, str]]:
    from foresight_probes.adapters.decoder import Decoder
    from foresight_probes.metrics.perceptual import PerceptualDistance
    from foresight_probes.sweeps.perceptual_versions import perceptual_versions

    if PIXELS not in latents.arrays:
        raise UsageError(
            f"{latents.path} has no {PIXELS}, which decoded clips are compared with; extract them too, or use "
            "--no-decode"
        )
    not_measured = {}
    try:
        distance = PerceptualDistance(LPIPS_NET, weights)
        versions = perceptual_versions(("lpips",), weights)
    except ProbeError as error:
        distance, versions, not_measured = None, {}, {"lpips": f"{error}"}
    device = request.options.device
    decoder = Decoder(latents, vae, "cpu" if device == "mps" else device)
    decoder.check(latents, aligned.rows[0][-1])
    return Pictures(aligned, decoder, distance), versions, not_measured
