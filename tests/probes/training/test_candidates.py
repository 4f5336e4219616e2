"""Which candidates a run has: the same on every point that is wide enough, whatever it holds."""

import pytest

from foresight_probes import tasks
from foresight_probes.options import TrainingOptions
from foresight_probes.tasks import TaskContext
from foresight_probes.training.candidates import candidates
from foresight_probes.training.run_spec import RunSpec


@pytest.mark.parametrize(
    ("task", "head", "width", "inputs"),
    [
        ("edges", "conv-decoder", 1280, ["leading-48", "leading-128"]),
        ("edges", "conv-decoder", 3584, ["leading-48", "leading-128"]),
        ("edges", "conv-decoder", 128, ["leading-48", "channels"]),
        ("edges", "token-linear", 1280, ["start", "leading-128"]),
        ("action", "attentive", 1280, ["leading-48", "leading-128"]),
        ("action", "attentive", 96, ["leading-48", "channels"]),
        ("counting", "mlp", 1280, ["channels", "leading-16", "leading-48", "leading-128"]),
    ],
)
def test_views_of_heads(task: str, head: str, width: int, inputs: list[str]) -> None:
    own = candidates(RunSpec(task, head, 0), tasks.load(task, TaskContext()), TrainingOptions(), width, viewed=True)
    assert list(dict.fromkeys(candidate.inputs for candidate in own)) == inputs
    assert len({candidate.trial.learning_rate for candidate in own}) == 3
