"""Forward passes under hooks, left at the last tap."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import nn

from foresight_cache.encoders import Tap
from foresight_cache.errors import ModelError


class _Reached(Exception):
    """Signal that leaves the forward pass once every tap has been seen."""


def capture(root: nn.Module, taps: Sequence[Tap], run: Callable[[], object]) -> dict[str, torch.Tensor]:
    """Returns, by tap name, what passes each tap while `run` calls (a part of) `root`.

    `run` is left as soon as every tap has been seen, so that nothing deeper is computed. The tensors are detached,
    in the order and shape in which the module has them. Hooks are removed in every case, and what `run` raises
    passes through. Raises `ModelError` where a module does not exist or is never called.

    >>> model = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Linear(1, 1))
    >>> tap = Tap(name="relu", module="1", side="output", level="patch", width=1)
    >>> capture(model, [tap], lambda: model(torch.tensor([-1.0, 2.0])))
    {'relu': tensor([0., 2.])}
    """
    expected = {tap.name for tap in taps}
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, value: Any) -> None:
        seen[name] = _hidden(value).detach()
        if seen.keys() == expected:
            raise _Reached

    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for tap in taps:
            handles.append(_attach(root, tap, partial(keep, tap.name)))
        if expected:
            with suppress(_Reached):
                run()
    finally:
        for handle in handles:
            handle.remove()
    if missing := expected - seen.keys():
        raise ModelError(f"the forward pass never reached {', '.join(sorted(missing))}")
    return seen


def _attach(root: nn.Module, tap: Tap, keep: Callable[[Any], None]) -> torch.utils.hooks.RemovableHandle:
    try:
        module = root.get_submodule(tap.module)
    except AttributeError as error:
        raise ModelError(f"{type(root).__name__} has no module {tap.module!r}, where {tap.name} should be") from error
    if tap.side == "output":
        return module.register_forward_hook(lambda _module, _args, output: keep(output))
    # Some models pass the hidden states by name, so both kinds of arguments are looked at.
    return module.register_forward_pre_hook(
        lambda _module, args, kwargs: keep(args or kwargs["hidden_states"]), with_kwargs=True
    )


def _hidden(value: Any) -> torch.Tensor:
    """Returns the hidden states among what a module takes or returns: the tensor itself, or the first of a tuple."""
    hidden = value[0] if isinstance(value, tuple) else value
    if not isinstance(hidden, torch.Tensor):
        raise ModelError(
            f"a tapped module passes a {type(hidden).__name__}, expected a tensor or a tuple that starts with one"
        )
    return hidden
