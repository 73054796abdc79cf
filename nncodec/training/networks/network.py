"""The base of all networks: codes in, the logit of every bit out, and the code length.

Networks see codes as the original encoder wrote them: -1 and +1, batch x height x width x depth,
where the depth is a sequence of layers of `layer_depth` bits. They predict every bit from the
layers before its own and from the bits of its layer that precede it.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nncodec.errors import ModelError
from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.training.configs import ModelConfig


class Network(nn.Module, ABC):
    """A learned model of codes.

    Attributes:
        config: what it was made by.
        sees_frame_before: whether it looks at the frame before, where codes are a sequence.
        input_dropout: the share of bits that are hidden from the network while it trains; their
            places read 0, as outside the picture, and the others are scaled up.
    """

    sees_frame_before = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.input_dropout = 0.0

    @abstractmethod
    def predict(
        self, layers: Tensor, present: Tensor | None = None, frame_before: Tensor | None = None
    ) -> Tensor:
        """Predicts the logits of layers.

        Args:
            layers: float -1/+1, 0 where a bit is hidden, [layers, batch, height, width,
                layer_depth]; at most `layer_count` layers.
            present: float {0, 1}, [layers, batch, height, width]: whether a position has a layer;
                None where every position has all. Where it has none, hidden values are 0, as
                outside of the picture.
            frame_before: as `layers`, those of the frame before each picture, 0 where there is
                none; None where there is none at all.

        Returns:
            float, the same shape: ln(p / (1 - p)), where p is the probability of a +1.
        """

    def forward(
        self, codes: Tensor, coverage: Tensor | None = None, frame_before: Tensor | None = None
    ) -> Tensor:
        """Predicts the logit of every bit.

        Args:
            codes: float -1/+1, [batch, height, width, depth].
            coverage: integers [batch, height, width], how many layers a position has; all by
                default. Bits beyond are not seen, and their logits mean nothing.
            frame_before: as `codes`, the codes of the frame before each picture, 0 where there is
                none; by default there is none at all.

        Returns:
            float [layers, batch, height, width, layer_depth]: ln(p / (1 - p)), where p is the
            probability of a +1.

        Raises:
            ModelError: the depth does not fit the configuration.
        """
        layers = self.split(codes)
        return self._logits(layers, present_layers(layers, coverage), frame_before)

    def code_length(
        self,
        codes: Tensor,
        beside: Tensor | None = None,
        coverage: Tensor | None = None,
        frame_before: Tensor | None = None,
    ) -> Tensor:
        """Measures the theoretical size of codes: a rate term for the loss of an encoder.

        Gradients pass to the codes as bits to be coded and as context of other bits; where values
        lie between -1 and +1, their signs are coded and the gradient is passed straight through
        (Bengio et al., arXiv 1308.3432).

        Args:
            codes: float, [batch, height, width, depth]: -1/+1, or relaxed values.
            beside: float, the same shape: logits of a model beside this one, which are added.
            coverage: as for `forward`; bits beyond cost nothing.
            frame_before: as for `forward`.

        Returns:
            float [layers]: the sum of -log2 of the probability of every bit of a layer, in bits.

        Raises:
            ModelError: the depth does not fit the configuration.
        """
        signs = torch.where(codes < 0, -1.0, 1.0).to(codes)
        layers = self.split(codes + (signs - codes).detach())
        present = present_layers(layers, coverage)
        logits = self._logits(layers, present, frame_before)
        if beside is not None:
            logits = logits + self.split(beside)
        lengths = F.binary_cross_entropy_with_logits(logits, (layers + 1) / 2, reduction="none")
        if present is not None:
            lengths = lengths * present[..., None]
        return lengths.sum(dim=(1, 2, 3, 4)) / math.log(2)

    @abstractmethod
    def quantise(self) -> IntegerNetwork:
        """Gives the integer form, which codes bits.

        Raises:
            ModelError: the weights are so large that a sum could outgrow its integer.
        """

    def split(self, codes: Tensor) -> Tensor:
        """Cuts the depth of codes into layers, as many as are coded.

        Args:
            codes: [batch, height, width, depth].

        Returns:
            [layers, batch, height, width, layer_depth].

        Raises:
            ModelError: the depth does not fit the configuration.
        """
        depth, layer_depth = codes.shape[-1], self.config.layer_depth
        prefix = self.config.coded_layer_count * layer_depth
        if prefix:
            if depth < prefix:
                raise ModelError(
                    f"codes of depth {depth} are shorter than the {prefix} bits of "
                    f"coded_layer_count {self.config.coded_layer_count}"
                )
            codes, depth = codes[..., :prefix], prefix
        if depth % layer_depth:
            raise ModelError(f"the depth {depth} is no multiple of layer_depth {layer_depth}")
        if depth > self.config.layer_count * layer_depth:
            raise ModelError(
                f"the codes have {depth // layer_depth} layers, more than layer_count "
                f"{self.config.layer_count}"
            )
        layers = (*codes.shape[:-1], depth // layer_depth, layer_depth)
        return codes.reshape(layers).movedim(-2, 0)

    def _logits(
        self, layers: Tensor, present: Tensor | None, frame_before: Tensor | None
    ) -> Tensor:
        if present is not None:
            layers = layers * present[..., None]
        layers = F.dropout(layers, self.input_dropout, self.training)
        if frame_before is None or not self.sees_frame_before:
            return self.predict(layers, present)
        frame = F.dropout(self.split(frame_before), self.input_dropout, self.training)
        return self.predict(layers, present, frame)


def present_layers(layers: Tensor, coverage: Tensor | None) -> Tensor | None:
    """Says which positions have which layers: in the type of the layers, {0, 1}.

    Args:
        layers: [layers, batch, height, width, layer_depth].
        coverage: integers [batch, height, width], how many layers a position has; None for all.

    Returns:
        [layers, batch, height, width]; None for all.
    """
    if coverage is None:
        return None
    numbers = torch.arange(len(layers), device=coverage.device)
    return (coverage > numbers[:, None, None, None]).to(layers)


def present_before(present: Tensor) -> Tensor:
    """Says which positions have the layer before each; before the first, all."""
    return torch.cat([torch.ones_like(present[:1]), present[:-1]])
