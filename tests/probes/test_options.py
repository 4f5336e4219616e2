"""Options are checked where they are made."""

import pytest

from foresight_cache.errors import UsageError
from foresight_probes.options import TrainingOptions


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"batch_size": 0}, "batch_size is 0, expected a whole number of at least 1"),
        ({"epochs": 1.5}, "epochs is 1.5, expected a whole number of at least 1"),
        ({"epochs": True}, "epochs is True, expected a whole number of at least 1"),
        ({"learning_rate": -1}, "learning_rate is -1, expected a finite number above 0"),
        ({"weight_decay": "much"}, "weight_decay is 'much', expected a finite number of at least 0"),
        ({"train_share": 1.0}, "train_share is 1.0, expected a number between 0 and 1"),
        ({"perceptual_weight": -0.5}, "perceptual_weight is -0.5, expected a finite number of at least 0"),
        ({"column": ""}, "column is '', expected the name of a column"),
        ({"device": "gpu"}, "device is 'gpu', expected auto, cpu, cuda or mps"),
        (
            {"train_share": 0.8, "validation_share": 0.2},
            "train_share and validation_share add up to 1, expected less than 1",
        ),
    ],
)
def test_impossible_values(values: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainingOptions(**values)  # type: ignore[arg-type]
    assert str(error.value) == text


def test_what_changes_speed_alone_is_no_part_of_the_recipe() -> None:
    assert TrainingOptions(resident_bytes=0, device="cpu").recipe() == TrainingOptions().recipe()
    assert TrainingOptions(epochs=3).recipe() != TrainingOptions().recipe()
