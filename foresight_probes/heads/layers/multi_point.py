"""The class that heads on several points derive from."""

from torch import Tensor

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.layers.base import ProbeHead
from foresight_probes.heads.layers.outputs import per_sample, per_token, small_linear, spread_linear


class MultiPointHead(ProbeHead):
    """A linear map of what `mix` makes of the points: for each token where the task takes that, else of their mean."""

    takes_several = True
    learning_rate = 0.003
    predicts = ("per_token", "per_sample")
    information = ("mean", "token", "place")

    def __init__(self, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.per_token = "per_token" in outputs.predicts
        self.linear = small_linear(width, outputs) if self.per_token else spread_linear(width, outputs)

    def mix(self, features: Features) -> Tensor:
        """Returns one vector per token of the first point, [B, N, width]."""
        raise NotImplementedError

    def forward(self, features: Features) -> Prediction:
        mixed_BND, mask_BN = self.mix(features), features.mask
        if self.per_token:
            return per_token(self.linear(mixed_BND), features)
        pooled_BD = (mixed_BND * mask_BN[..., None]).sum(1) / mask_BN.sum(1, keepdim=True)
        return per_sample(self.linear(pooled_BD), self.outputs)
