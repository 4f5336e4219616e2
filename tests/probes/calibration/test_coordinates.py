"""The coordinates of features in numbers, on features whose numbers are known."""

import numpy as np
import pytest

from foresight_probes.calibration.coordinates import Coordinates, beyond, measured
from foresight_probes.calibration.state import CalibrationState, beyond_calibration
from foresight_probes.calibration.table import _coordinates


def noise(width: int = 8) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2048, width))


def test_noise_has_no_property() -> None:
    found = measured(noise())
    assert found.channels == 8
    assert found.outliers == pytest.approx(1, abs=0.1)
    assert found.condition == pytest.approx(1, abs=0.2)
    assert found.massive < 2


def test_properties_are_those_that_were_made() -> None:
    loud = noise()
    loud[:, 3] *= 100
    assert measured(loud).outliers == pytest.approx(100, rel=0.1)
    assert measured(loud).condition == pytest.approx(1, abs=0.2)
    alike = noise() + 10 * noise(9)[:, 8:]
    # of eight channels that share all but a hundredth of their variance, one direction has eight times the variance of
    # a channel less seven times that hundredth, and each of the others has that hundredth
    assert measured(alike).condition == pytest.approx((8 - 7 / 101) * 101, rel=0.1)
    massive = noise()
    massive[7] += 50
    assert measured(massive).massive > 10 * measured(noise()).massive


def test_shift_and_scale_are_no_properties_and_silent_channels_count_for_nothing() -> None:
    other = np.concatenate([1000 * noise() + 300, np.full((2048, 2), 7.0)], axis=1)
    plain = measured(noise())
    found = measured(other)
    assert (found.outliers, found.massive, found.condition) == pytest.approx(
        (plain.outliers, plain.massive, plain.condition), rel=1e-6
    )


def test_planted_geometries_have_the_property_of_their_name() -> None:
    base, outch, sinks, aniso = (_coordinates(name) for name in ("base", "outch", "sinks", "aniso"))
    assert outch.outliers > 20 * base.outliers
    assert sinks.massive > 4 * base.massive
    assert aniso.condition > 100 * base.condition
    assert _coordinates("scaled").outliers == pytest.approx(base.outliers, rel=0.05)


def test_what_goes_beyond_the_calibrated_geometries_is_named() -> None:
    table = {"geometries": {"base": {"channels": 8, "outliers": 1.5, "massive": 3.0, "condition": 2.0}}}
    state = CalibrationState(calibrated="fit", geometries=("base",))
    assert beyond_calibration(state, noise(), table=table) == ""
    loud = noise()
    loud[:, 3] *= 100
    assert beyond_calibration(state, loud, table=table).startswith("outliers of ")
    assert beyond_calibration(state, noise(17), table=table) == "channels of 17 (calibrated up to 8)"
    never = CalibrationState(calibrated="never")
    assert beyond_calibration(never, noise(), table=table) == ""


def test_twice_as_much_is_not_beyond() -> None:
    known = Coordinates(channels=10, outliers=10, massive=10, condition=10)
    assert beyond(Coordinates(channels=20, outliers=20, massive=20, condition=20), [known]) == ""
