"""Features on their way from the device to the host, while the device goes on with the next batch."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from foresight_cache.format.layout import NUMPY_DTYPES


class HostCopies:
    """Copies of tensors by point and sample. From a GPU they go into pinned memory, on a stream of their own."""

    def __init__(self, features: Mapping[str, Sequence[torch.Tensor]]) -> None:
        """Starts the copies. All tensors are on one device, computed on its current stream."""
        self._copied: torch.cuda.Event | None = None
        device = next((tokens.device for samples in features.values() for tokens in samples), torch.device("cpu"))
        if device.type == "cuda":
            self._hosts = self._started(features, device)
        else:
            self._hosts = {point: [tokens.cpu() for tokens in samples] for point, samples in features.items()}

    def wait(self) -> None:
        """Waits until the device has computed and handed over all tensors."""
        if self._copied is not None:
            self._copied.synchronize()

    def arrays(self) -> dict[str, list[np.ndarray]]:
        """Returns each tensor's numbers, of the same shape; bfloat16 as `ml_dtypes` has it. Waits for the device."""
        self.wait()
        return {point: [_array(tokens) for tokens in samples] for point, samples in self._hosts.items()}

    def _started(
        self, features: Mapping[str, Sequence[torch.Tensor]], device: torch.device
    ) -> dict[str, list[torch.Tensor]]:
        stream = _stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            hosts = {point: [_pinned_copy(tokens, stream) for tokens in samples] for point, samples in features.items()}
            self._copied = stream.record_event()
        return hosts


_streams: dict[torch.device, "torch.cuda.Stream"] = {}


def _stream(device: torch.device) -> "torch.cuda.Stream":
    if device not in _streams:
        _streams[device] = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return _streams[device]


def _pinned_copy(tokens: torch.Tensor, stream: "torch.cuda.Stream") -> torch.Tensor:
    # Memory that is given back by one batch is handed out to another one; see torch's CachingHostAllocator.
    host = torch.empty(tokens.shape, dtype=tokens.dtype, pin_memory=True)
    host.copy_(tokens, non_blocking=True)
    tokens.record_stream(stream)  # not to be overwritten before the copy is done
    return host


def _array(tokens: torch.Tensor) -> np.ndarray:
    if tokens.dtype == torch.bfloat16:
        return tokens.view(torch.int16).numpy().view(NUMPY_DTYPES["bfloat16"])
    return tokens.numpy()
