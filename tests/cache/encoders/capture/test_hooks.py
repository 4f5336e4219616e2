from typing import Any

import pytest
import torch
from torch import nn

from foresight_cache.encoders import Tap
from foresight_cache.encoders.capture.hooks import capture
from foresight_cache.errors import ModelError


def tap(name: str, module: str, side: Any = "output") -> Tap:
    return Tap(name=name, module=module, side=side, level="patch", width=2)


class Layer(nn.Module):
    """Adds one; returns a tuple on request, as some decoder layers do."""

    def __init__(self, as_tuple: bool) -> None:
        super().__init__()
        self.as_tuple = as_tuple
        self.calls = 0

    def forward(self, hidden_states: torch.Tensor) -> Any:
        self.calls += 1
        result = hidden_states + 1
        return (result, "weights") if self.as_tuple else result


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(False), Layer(True), Layer(False)])

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        hidden = self.layers[0](hidden)
        hidden = self.layers[1](hidden_states=hidden)[0]
        return self.layers[2](hidden)

    def calls(self) -> list[int]:
        return [layer.calls for layer in self.layers]

    def hooks(self) -> int:
        return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in self.layers)


ZERO = torch.zeros(1, 2, requires_grad=True)


def test_outputs_and_inputs_also_of_tuples_and_by_name() -> None:
    model = Model()
    taps = [tap("a", "layers.0"), tap("b", "layers.1", "input"), tap("c", "layers.1"), tap("d", "layers.2", "input")]
    seen = capture(model, taps, lambda: model(ZERO))
    assert {name: value[0, 0].item() for name, value in seen.items()} == {"a": 1, "b": 1, "c": 2, "d": 2}
    assert not any(value.requires_grad for value in seen.values())


@pytest.mark.parametrize(
    ("deepest", "calls"),
    [
        (tap("x", "layers.0", "input"), [0, 0, 0]),
        (tap("x", "layers.0"), [1, 0, 0]),
        (tap("x", "layers.2", "input"), [1, 1, 0]),
        (tap("x", "layers.2"), [1, 1, 1]),
    ],
)
def test_nothing_runs_after_the_deepest_tap(deepest: Tap, calls: list[int]) -> None:
    model = Model()
    capture(model, [deepest], lambda: model(ZERO))
    assert model.calls() == calls


def test_the_order_of_the_request_does_not_matter() -> None:
    model = Model()
    seen = capture(model, [tap("late", "layers.1"), tap("early", "layers.0")], lambda: model(ZERO))
    assert seen.keys() == {"late", "early"}


def test_hooks_are_removed_in_every_case() -> None:
    model = Model()
    capture(model, [tap("a", "layers.0")], lambda: model(ZERO))
    assert model.hooks() == 0

    def fail() -> None:
        model.layers[0](ZERO)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        capture(model, [tap("a", "layers.0"), tap("b", "layers.1")], fail)
    assert model.hooks() == 0
    with pytest.raises(ModelError, match=r"Model has no module 'layers\.7', where b should be"):
        capture(model, [tap("a", "layers.0"), tap("b", "layers.7")], lambda: model(ZERO))
    assert model.hooks() == 0


def test_a_tap_that_is_never_reached_is_an_error() -> None:
    model = Model()
    with pytest.raises(ModelError, match="the forward pass never reached b"):
        capture(model, [tap("a", "layers.0"), tap("b", "layers.2")], lambda: model.layers[0](ZERO))


def test_something_else_than_a_tensor_is_an_error() -> None:
    class Odd(nn.Module):
        def forward(self) -> dict[str, int]:
            return {}

    model = nn.Sequential(Odd())
    with pytest.raises(ModelError, match="passes a dict, expected a tensor"):
        capture(model, [tap("a", "0")], lambda: model[0]())


def test_without_taps_nothing_runs() -> None:
    model = Model()
    assert capture(model, [], lambda: model(ZERO)) == {}
    assert model.calls() == [0, 0, 0]
