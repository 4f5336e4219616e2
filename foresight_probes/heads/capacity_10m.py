"""A perceptron with 10 million parameters, for studies of how much a head's capacity matters."""

from foresight_probes.heads.layers.capacity import CapacityMLP


class Head(CapacityMLP):
    """Three hidden layers of one width, on each token or on the mean over tokens."""

    budget = 10_000_000
