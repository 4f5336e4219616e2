"""What a command is given, as work that can be carried out: everything that can be wrong is found here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from foresight_cache.errors import ProbeError, UsageError
from foresight_cache.points import PIXELS
from foresight_cache.reader import open_cache
from foresight_probes.adapters.aligned import Aligned
from foresight_probes.adapters.decoder import Decoder
from foresight_probes.adapters.measuring import Pictures
from foresight_probes.adapters.plan import AdapterPlan, AdapterRequest
from foresight_probes.adapters.running import AdapterWork, prepare
from foresight_probes.adapters.training import device_of
from foresight_probes.metrics.perceptual import PerceptualDistance
from foresight_probes.sweeps.perceptual_versions import perceptual_versions

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
    if not decode:
        reason = "it was not asked for (--no-decode)"
        work = AdapterWork(
            plan, measured_by={"pictures": None}, not_measured={"pictures": reason}, shares=tuple(shares)
        )
        prepare(work)
        return work
    distance, versions, not_measured = _distance(lpips_weights)
    work = AdapterWork(plan, measured_by={"pictures": versions}, not_measured=not_measured, shares=tuple(shares))
    if not prepare(work):
        return work
    if distance:
        distance.to(device_of(request.options.device))
    return replace(work, pictures=Pictures(plan.aligned, _decoder(plan.aligned, vae, request), distance))


def _distance(weights: Path | None) -> tuple[PerceptualDistance | None, dict[str, str], dict[str, str]]:
    """Returns LPIPS with its versions; without its weights none, and why it is not measured."""
    try:
        return PerceptualDistance(LPIPS_NET, weights), perceptual_versions(("lpips",), weights), {}
    except ProbeError as error:
        return None, {}, {"lpips": str(error)}


def _decoder(aligned: Aligned, vae: str | None, request: AdapterRequest) -> Decoder:
    """Returns the decoder, held to what is cached. Raises `UsageError`, and what loading a model raises."""
    latents, device = aligned.latents, request.options.device
    if PIXELS not in latents.arrays:
        raise UsageError(
            f"{latents.path} has no {PIXELS}, which decoded clips are compared with; extract them too, or use "
            "--no-decode"
        )
    decoder = Decoder(latents, vae, "cpu" if device == "mps" else device)
    decoder.check(latents, aligned.rows[0][-1])
    return decoder
