"""What heads on several points share: from one vector per token to what the task asks."""

from torch import Tensor, nn

from foresight_probes.batches import Features, OutputSpec, Prediction
from foresight_probes.heads.pooled_linear import slots, spread_linear


class MultiPointHead(nn.Module):
    """A linear map of what `mix` makes of the points: for each token where the task takes that, else of their mean."""

    several = True
    learning_rate = 0.003
    predicts: tuple[str, ...] = ("per_token", "per_sample")

    def __init__(self, width: int, outputs: OutputSpec) -> None:
        super().__init__()
        self.outputs = outputs
        self.per_token = "per_token" in outputs.predicts
        self.linear = nn.Linear(width, outputs.channels) if self.per_token else spread_linear(width, outputs)

    def mix(self, features: Features) -> Tensor:
        """[B, N, width], one vector per token of the first point."""
        raise NotImplementedError

    def forward(self, features: Features) -> Prediction:
        mixed, mask = self.mix(features), features.mask
        if self.per_token:
            return Prediction(values=self.linear(mixed), mask=mask, cells=features.cells, grids=features.grids)
        pooled = (mixed * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        return slots(self.linear(pooled), self.outputs)
