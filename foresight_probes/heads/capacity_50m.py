"""A perceptron with 50 million parameters, for studies of how much a head's capacity matters."""

from foresight_probes.heads.layers.capacity import CapacityMLP


class Head(CapacityMLP):
    """Three hidden layers of one width, on each token or on the mean over tokens."""

    budget = 50_000_000
