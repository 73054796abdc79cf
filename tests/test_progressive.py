"""The network `progressive` against what the original computed, and what it alone promises."""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from nncodec.errors import ModelError
from nncodec.training.networks.original_weights import load_original_weights, original_weights
from nncodec.training.networks.progressive import LOGIT_LIMIT, Progressive, ProgressiveConfig
from tests.test_networks import ROUNDING, influence, network, random_codes

Arrays = dict[str, npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def reference() -> Arrays:
    """Codes, probabilities, code lengths and all variables of the original, as it ran."""
    path = Path(__file__).parent / "data" / "progressive_reference.npz"
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def variables(reference: Arrays) -> Arrays:
    prefix = "variables/"
    return {
        name.removeprefix(prefix): array
        for name, array in reference.items()
        if name.startswith(prefix)
    }


def progressive(layer_depth: int = 2, layer_count: int = 8) -> Progressive:
    return Progressive(ProgressiveConfig(layer_depth=layer_depth, layer_count=layer_count))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 5e-7)])
@torch.no_grad()
def test_probabilities_and_code_lengths_are_the_originals(
    dtype: torch.dtype, tolerance: float, reference: Arrays, variables: Arrays
) -> None:
    model = progressive().to(dtype)
    load_original_weights(model, variables)
    codes = torch.from_numpy(reference["codes"]).to(dtype)
    probability, lengths = torch.sigmoid(model(codes)), model.code_length(codes)
    expected = reference["probability"]
    assert probability.shape == expected.shape == (4, 2, 9, 11, 2)
    np.testing.assert_allclose(probability.numpy(), expected, rtol=0, atol=tolerance)
    means = lengths.numpy() / expected[0].size
    np.testing.assert_allclose(means, reference["code_length_per_layer"], rtol=0, atol=tolerance)
    average = float(reference["average_code_length"])
    assert means.mean() == pytest.approx(average, rel=0, abs=tolerance)


def test_original_weights_come_back_as_they_were_loaded(variables: Arrays) -> None:
    model = progressive()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)
    load_original_weights(model, variables)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    weights = original_weights(model)
    assert weights.keys() == variables.keys()
    for name, array in variables.items():
        np.testing.assert_array_equal(weights[name], array)
    with torch.no_grad():
        model.output.weight.zero_()
    assert weights["LayerPrediction/BrnnPredictor/Conv2D_2/Variable"].any()


REFUSED = "LayerPrediction/BrnnPredictor_3/Conv2D_1/Variable"


@pytest.mark.parametrize(
    ("layer_depth", "layer_count", "change", "message"),
    [
        (
            2,
            9,
            {},
            "the variables are of layer_count 8, the network is of 9; "
            "make the network with layer_count 8",
        ),
        (
            2,
            8,
            {REFUSED: None},
            f"variable {REFUSED} is missing; give all variables of the original",
        ),
        (
            2,
            8,
            {"global_step": np.zeros(())},
            "variable global_step is none of a progressive network; leave it out",
        ),
        (
            2,
            8,
            {REFUSED: np.zeros((4, 4))},
            f"variable {REFUSED} has the shape (4, 4), not (1, 1, 4, 4); "
            "make the network, of layer_depth 2, like the original",
        ),
        (
            3,
            8,
            {},
            "variable LayerPrediction/BrnnPredictor/RasterScanConv2D/Variable has the shape "
            "(7, 7, 2, 4), not (7, 7, 3, 6); make the network, of layer_depth 3, like the original",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    layer_depth: int,
    layer_count: int,
    change: dict[str, npt.NDArray[np.float64] | None],
    message: str,
    variables: Arrays,
) -> None:
    given = {name: array for name, array in (variables | change).items() if array is not None}
    model = progressive(layer_depth, layer_count)
    before = original_weights(model)
    with pytest.raises(ModelError) as caught:
        load_original_weights(model, given)
    assert str(caught.value) == message
    for name, array in original_weights(model).items():
        np.testing.assert_array_equal(array, before[name])


def test_no_variables_are_refused() -> None:
    with pytest.raises(ModelError, match="Variable is missing; give all variables"):
        load_original_weights(progressive(), {})


def test_initial_weights_are_drawn_as_the_originals() -> None:
    torch.manual_seed(0)
    kernels = 0
    for name, array in original_weights(progressive(layer_depth=16, layer_count=2)).items():
        if array.ndim == 4:
            std = 1 / math.sqrt(math.prod(array.shape[:3]))
            # What cutting at two standard deviations leaves of one: 0.87963.
            assert array.std() == pytest.approx(0.87963 * std, rel=0.05), name
            assert abs(array.mean()) < 0.1 * std
            assert 1.9 * std < abs(array).max() <= 2 * std
            kernels += 1
        elif name.endswith("/biases/Variable"):
            gates = np.repeat([1, 0, 0, 0], 32)  # forget, input, candidate, output
            np.testing.assert_array_equal(array, gates)
        else:
            assert not array.any()
    assert kernels == 2 * 8 + 4


def test_what_a_logit_sees_is_as_documented() -> None:
    height, width = 6, 9
    changes = influence(network("progressive"), random_codes(1, height, width, 6))
    seen = (changes > ROUNDING).permute(4, 5, 6, 7, 0, 1, 2, 3)
    for y, x in np.ndindex(height, width):
        own = np.zeros((height, width), dtype=bool)
        earlier = np.zeros((height, width), dtype=bool)
        # The memory of a row reaches one column further either way in the row below, and the
        # LSTM's input one further to the left.
        for row in range(y + 1):
            for column in range(max(x - (y - row) - 1, 0), min(x + (y - row) + 1, width)):
                top, left = max(row - 3, 0), max(column - 3, 0)
                own[top:row, left : column + 4] = True
                own[row, left:column] = True
                earlier[top : row + 4, left : column + 4] = True
        for layer in range(3):
            for other in range(3):
                expected = own if other == layer else earlier if other < layer else False
                expected = np.broadcast_to(expected, (height, width))
                for bit, logit in np.ndindex(2, 2):
                    found = seen[layer, y, x, logit, other, :, :, bit].numpy()
                    np.testing.assert_array_equal(found, expected)


def test_gradients_are_those_of_the_code_length() -> None:
    model, codes = network("progressive"), random_codes(1, 4, 5, 6)

    @torch.no_grad()
    def length(values: torch.Tensor) -> torch.Tensor:
        """Of values that are not signs, by the formula."""
        layers = model.split(values)
        p = torch.sigmoid(model.predict(layers))
        return -((1 + layers) / 2 * p.log2() + (1 - layers) / 2 * (1 - p).log2()).sum()

    codes.requires_grad_()
    (gradient,) = torch.autograd.grad(model.code_length(codes).sum(), codes)
    step = 1e-5
    for bit in range(codes.numel()):
        change = torch.zeros(codes.numel()).double()
        change[bit] = step
        change = change.reshape(codes.shape)
        slope = (length(codes + change) - length(codes - change)) / (2 * step)
        torch.testing.assert_close(gradient.flatten()[bit], slope, rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_probabilities_stay_within_the_originals_bounds() -> None:
    model, codes = network("progressive"), random_codes(1, 2, 3, 6)
    assert model(codes).abs().max() < LOGIT_LIMIT
    assert isinstance(model, Progressive)
    assert model.output.bias is not None
    for bias, probability in ((100, 0.9995), (-100, 0.0005)):
        model.output.bias.fill_(bias)
        assert torch.allclose(torch.sigmoid(model(codes)), torch.tensor(probability).double())
        ones = (model.split(codes) > 0).sum(dim=(1, 2, 3, 4)).double()
        lengths = -(ones * math.log2(probability) + (12 - ones) * math.log2(1 - probability))
        torch.testing.assert_close(model.code_length(codes), lengths)
