"""What every network promises: causality, any size, code lengths, gradients, configuration."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nncodec.errors import ModelError
from nncodec.training.networks.network import Network
from nncodec.training.networks.registry import NETWORKS, make_network
from nncodec.training.networks.residual import Residual
from nncodec.training.networks.shallow import Shallow, ShallowConfig

# Every network, and how many rows below a position it sees of earlier layers.
LOOK_AHEAD = {"progressive": 3, "shallow": 1, "residual-64": 2, "residual-112": 2}
WORDS = {"layer_depth": 2, "layer_count": 3}
SMALL = {"width": 8, "embedding": 6}
"""What makes residual networks small enough for a test."""
ROUNDING = 1e-12  # of a float64 logit
INFLUENCE = 1e-7  # that of a bit which is really seen

every_network = pytest.mark.parametrize("name", LOOK_AHEAD)


def network(name: str, **words: int) -> Network:
    """A network of float64 weights, none of which is zero but what tells where a picture ends."""
    torch.manual_seed(5)
    words = WORDS | (SMALL if name.startswith("residual") else {}) | words
    made = make_network(name, words).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        if isinstance(made, Residual):  # zeros outside of the picture would differ from these
            made.embed_bias.zero_()
            made.first_bias.zero_()
        if isinstance(made, Shallow):  # the flags of what is inside
            end = made.weights.shape[1] - made.config.layer_depth
            made.weights[:, end - len(made.config.places) : end] = 0
    return made


def random_codes(*shape: int) -> Tensor:
    """Float64 -1/+1."""
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).double() * 2 - 1


@torch.no_grad()
def influence(model: Network, codes: Tensor) -> Tensor:
    """How much every bit of one sample changes every logit.

    Returns:
        [layers, height, width, layer_depth] of the bit, then of the logit.
    """
    bits = codes.numel()
    signs = 1 - 2 * torch.eye(bits).double()
    flipped = codes * signs.reshape(bits, *codes.shape[1:])
    logits = model(torch.cat((codes, flipped))).movedim(1, 0)
    order = model.split(torch.arange(bits).reshape(codes.shape))[:, 0]
    changes: Tensor = (logits[1:] - logits[0]).abs()
    return changes[order]


@every_network
def test_no_bit_changes_a_logit_at_or_before_it(name: str) -> None:
    changes = influence(network(name), random_codes(1, 5, 8, 6)).reshape(240, 240)
    assert changes.tril().max() < ROUNDING
    assert changes.triu(1).max() > INFLUENCE


def test_the_nearest_bits_change_a_logit_of_progressive() -> None:
    changes = influence(network("progressive"), random_codes(1, 4, 5, 6))
    for layer, y, x in np.ndindex(3, 4, 5):
        seen = [(layer, y, x - 1), (layer, y - 1, x), (layer, y - 1, x - 1), (layer, y - 1, x + 1)]
        seen += [(earlier, y, x) for earlier in range(layer)]
        for bit in seen:
            if bit[1] >= 0 and 0 <= bit[2] < 5:
                assert changes[bit][:, layer, y, x].min() > INFLUENCE


def test_shallow_sees_its_taps() -> None:
    layers, height, width, channels = 3, 4, 5, 3
    words = {"layer_depth": channels, "layer_count": layers, "earlier_layers": 2}
    model = network("shallow", **words)
    changes = influence(model, random_codes(1, height, width, layers * channels)).numpy()
    seen = np.zeros(changes.shape, dtype=bool)
    lower = np.tri(channels, k=-1, dtype=bool).T
    for layer, y, x in np.ndindex(layers, height, width):
        seen[layer, y, x, :, layer, y, x] |= lower
        for _, _, back, down, right in ShallowConfig(**words).taps:
            if back <= layer and 0 <= y + down < height and 0 <= x + right < width:
                seen[layer - back, y + down, x + right, :, layer, y, x] = True
    # Here and there one is rounded away.
    assert (changes > INFLUENCE)[seen].mean() > 0.999
    assert changes[~seen].max() < ROUNDING


def test_every_network_is_tested() -> None:
    assert set(LOOK_AHEAD) == set(NETWORKS)


@every_network
@torch.no_grad()
def test_pictures_of_a_batch_do_not_see_each_other(name: str) -> None:
    model, codes = network(name), random_codes(3, 5, 6, 6)
    alone = [model(picture[None]) for picture in codes]
    torch.testing.assert_close(model(codes), torch.cat(alone, dim=1), rtol=0, atol=ROUNDING)


@every_network
@torch.no_grad()
def test_rows_further_down_change_nothing(name: str) -> None:
    model, codes = network(name), random_codes(1, 12, 6, 6)
    whole, upper = model(codes), model(codes[:, :8])
    torch.testing.assert_close(upper[0], whole[0, :, :8], rtol=0, atol=ROUNDING)
    rows = 8 - LOOK_AHEAD[name]
    torch.testing.assert_close(upper[:, :, :rows], whole[:, :, :rows], rtol=0, atol=ROUNDING)


@every_network
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
@torch.no_grad()
def test_pictures_have_any_size(name: str, size: tuple[int, int]) -> None:
    model, codes = network(name), random_codes(2, *size, 6)
    logits = model(codes)
    assert logits.shape == (3, 2, *size, 2)
    # The first position of the first layer sees no other position.
    torch.testing.assert_close(logits[0, :, :1, :1], model(codes[:, :1, :1])[0])


@every_network
@torch.no_grad()
def test_fewer_layers_have_the_same_logits(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    logits = model(codes)
    for layers in (1, 2):
        fewer = model(codes[..., : 2 * layers])
        torch.testing.assert_close(fewer, logits[:layers], rtol=0, atol=ROUNDING)
        coded = network(name, coded_layer_count=layers)(codes)
        torch.testing.assert_close(coded, logits[:layers], rtol=0, atol=ROUNDING)


@every_network
@torch.no_grad()
def test_code_length_is_that_of_the_probabilities(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    logits, bits = model(codes).numpy(), np.moveaxis(codes.numpy().reshape(2, 4, 5, 3, 2), 3, 0)
    ones = 1 / (1 + np.exp(-logits))
    lengths = -np.log2(np.where(bits > 0, ones, 1 - ones)).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(model.code_length(codes).numpy(), lengths, rtol=1e-12)


@every_network
def test_gradients_reach_every_bit(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6).requires_grad_()
    lengths = model.code_length(codes)
    first, second, third = (torch.autograd.grad(x, codes, retain_graph=True)[0] for x in lengths)
    assert torch.isfinite(first + second + third).all()
    for layer, gradient in enumerate((first, second, third)):
        # Bits of earlier layers are context only.
        assert (gradient[..., : 2 * layer + 2].abs() > INFLUENCE).all()
        assert (gradient[..., 2 * layer + 2 :] == 0).all()
    # The last bit is no context: its length changes from -log2(1 - p) to -log2(p) along 2.
    last = -model(codes)[-1, :, -1, -1, -1] / (2 * math.log(2))
    torch.testing.assert_close(third[:, -1, -1, -1], last.detach())


@every_network
def test_gradients_pass_straight_through_signs(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    shrunk = torch.rand(codes.shape, generator=torch.Generator().manual_seed(1)).double() + 0.01
    results = []
    for values in (codes, codes * shrunk):
        values.requires_grad_()
        length = model.code_length(values).sum()
        results.append((length.detach(), torch.autograd.grad(length, values)[0]))
    torch.testing.assert_close(results[1], results[0])


@every_network
def test_every_parameter_has_a_gradient_however_few_the_layers(name: str) -> None:
    model = network(name)
    torch.autograd.backward(model.code_length(random_codes(2, 4, 5, 2)).sum())
    assert all(parameter.grad is not None for parameter in model.parameters())
    torch.autograd.backward(model.code_length(random_codes(2, 4, 5, 6)).sum())
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        assert (parameter.grad != 0).any()


@every_network
@torch.no_grad()
def test_dropout_hides_context_while_training_and_nothing_else(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    seen = model.code_length(codes)
    model.input_dropout = 1.0
    torch.testing.assert_close(model.code_length(codes), seen, rtol=0, atol=0)
    model.train()
    hidden = model.predict(torch.zeros(3, 2, 4, 5, 2).double())
    cost = torch.log2(1 + torch.exp(-hidden * model.split(codes))).sum(dim=(1, 2, 3, 4))
    torch.testing.assert_close(model.code_length(codes), cost)
    assert (cost - seen).abs().min() > INFLUENCE


@every_network
def test_bits_beyond_the_coverage_are_neither_seen_nor_counted(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    coverage = torch.randint(0, 4, (2, 4, 5), generator=torch.Generator().manual_seed(2))
    present = (coverage[..., None] > torch.arange(3)).repeat_interleave(2, dim=-1)
    others = torch.where(present, codes, -codes).requires_grad_()
    lengths = model.code_length(others, coverage=coverage)
    torch.testing.assert_close(model.code_length(codes, coverage=coverage), lengths)
    (gradient,) = torch.autograd.grad(lengths.sum(), others)
    assert (gradient[~present] == 0).all()
    assert (gradient[present] != 0).all()
    logits = model(codes, coverage)
    cost = torch.log2(1 + torch.exp(-logits * model.split(codes))) * model.split(present)
    torch.testing.assert_close(cost.sum(dim=(1, 2, 3, 4)), lengths)


@every_network
@torch.no_grad()
def test_a_coverage_of_all_layers_changes_nothing(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    torch.testing.assert_close(model(codes, torch.full((2, 4, 5), 3)), model(codes))


@torch.no_grad()
def test_residual_sees_the_frame_before_up_to_its_layer_and_no_farther() -> None:
    model, codes = network("residual-64", frame_before=True), random_codes(1, 5, 6, 6)
    frame = random_codes(1, 5, 6, 6)
    bits = frame.numel()
    flipped = frame * (1 - 2 * torch.eye(bits).double()).reshape(bits, *frame.shape[1:])
    repeated = codes.expand(bits + 1, -1, -1, -1)
    logits = model(repeated, frame_before=torch.cat((frame, flipped))).movedim(1, 0)
    order = model.split(torch.arange(bits).reshape(frame.shape))[:, 0]
    changes = (logits[1:] - logits[0]).abs()[order]
    layer, row, column = np.indices((3, 5, 6))
    for own in np.ndindex(3, 5, 6):
        near = (abs(row - own[1]) <= 1) & (abs(column - own[2]) <= 1) & (layer == own[0])
        of_own = changes[..., own[0], own[1], own[2], :]
        seen = of_own[torch.from_numpy(near)]
        assert (seen > INFLUENCE).float().mean() > 0.9  # a hidden value may be at its limit
        others = torch.from_numpy(layer != own[0])
        assert of_own[others].max() < ROUNDING


@torch.no_grad()
def test_where_there_is_no_frame_before_residual_reads_zeros() -> None:
    model, codes = network("residual-64", frame_before=True), random_codes(2, 4, 5, 6)
    zeros = model(codes, frame_before=torch.zeros_like(codes))
    torch.testing.assert_close(model(codes), zeros, rtol=0, atol=0)
    assert (model(codes, frame_before=codes) - zeros).abs().max() > INFLUENCE


@pytest.mark.parametrize("name", ["progressive", "shallow", "residual-64"])
@torch.no_grad()
def test_others_do_not_look_at_a_frame_before(name: str) -> None:
    model, codes = network(name), random_codes(2, 4, 5, 6)
    torch.testing.assert_close(model(codes, frame_before=codes), model(codes), rtol=0, atol=0)


@every_network
def test_weights_are_drawn_from_the_seed(name: str) -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        parameters = make_network(name, WORDS).parameters()
        return torch.cat([parameter.detach().flatten() for parameter in parameters])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@every_network
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"layer_depth": 0}, "layer_depth must be a whole number, at least 1, not 0"),
        ({"layer_count": -1}, "layer_count must be a whole number, at least 1, not -1"),
        ({"coded_layer_count": 4}, "coded_layer_count must be at most 3 (layer_count), not 4"),
        ({"coded_layer_count": -1}, "coded_layer_count must be a whole number, at least 0, not -1"),
        ({"layer_depth": "2"}, 'layer_depth must be a whole number, at least 1, not "2"'),
        ({"layer_count": 3.0}, "layer_count must be a whole number, at least 1, not 3.0"),
        ({"layer_count": True}, "layer_count must be a whole number, at least 1, not true"),
        (
            {"coded_layer_count": None},
            "coded_layer_count must be a whole number, at least 0, not null",
        ),
        ({"layer_count": {3}}, 'layer_count must be a whole number, at least 1, not "{3}"'),
        ({"depth": 2}, "unknown key 'depth'; the keys are layer_depth, layer_count, coded_"),
        ({3: 2}, "unknown key '3'; the keys are layer_depth, layer_count, coded_layer_count"),
    ],
)
def test_configurations_are_checked(name: str, words: dict[Any, Any], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        make_network(name, WORDS | words)
    assert str(caught.value).startswith(f"network {name}: {message}")


@every_network
def test_no_key_may_be_missing(name: str) -> None:
    message = f"^network {name}: the key 'layer_count' is missing; add it$"
    with pytest.raises(ModelError, match=message):
        make_network(name, {"layer_depth": 2})


def test_networks_are_known_by_name() -> None:
    with pytest.raises(
        ModelError,
        match=r"^there is no network 'regressive'; there are progressive, shallow, "
        r"residual-64, residual-112$",
    ):
        make_network("regressive", WORDS)


@pytest.mark.parametrize(
    ("coded", "depth", "message"),
    [
        (0, 5, "the depth 5 is no multiple of layer_depth 2"),
        (0, 8, "the codes have 4 layers, more than layer_count 3"),
        (2, 2, "codes of depth 2 are shorter than the 4 bits of coded_layer_count 2"),
    ],
)
@every_network
def test_depths_are_checked(name: str, coded: int, depth: int, message: str) -> None:
    model = network(name, coded_layer_count=coded)
    for compute in (model, model.code_length):
        with pytest.raises(ModelError) as caught:
            compute(random_codes(1, 2, 2, depth))
        assert str(caught.value) == message
