"""Tokens of several points at their cells, behind gates: early and late layers of one model."""

from foresight_probes.adapters.networks import hybrid


class Adapter(hybrid.Adapter):
    """Takes up to six points, of one cache or of several; a gate tells of which layer a channel comes."""

    points = (2, 6)
    from_several_caches = False
    leaves_out = False
