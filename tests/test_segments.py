"""Segments: adjacent layers together, as few as are worth a segment, and what they cost."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.coding.segments import SEGMENT_BITS, CodedSegment, segment_layers

shapes = st.tuples(*(st.integers(1, most) for most in (40, 3, 30, 30, 9)))


@given(shapes)
def test_every_layer_is_in_one_segment_and_small_ones_are_together(shape: tuple[int, ...]) -> None:
    segments, bits = segment_layers(shape), math.prod(shape[1:])
    assert [layer for layers in segments for layer in layers] == list(range(shape[0]))
    for layers in segments[:-1]:
        assert len(layers) * bits >= SEGMENT_BITS > (len(layers) - 1) * bits
    assert 1 <= len(segments[-1]) <= len(segments[0])


@given(st.integers(0, 2**32 - 1), shapes)
def test_a_segment_says_what_its_layers_cost(seed: int, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, shape, dtype=np.uint8)
    ones = random.integers(1, 1 << 16, shape).astype(np.uint16)
    segment = CodedSegment(codes, ones)
    probabilities = ones / 65536
    own = np.where(codes, probabilities, 1 - probabilities)
    expected = -np.log2(own).sum(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(segment.code_lengths(), expected, rtol=1e-6)
    logits = segment.logits()
    assert logits.dtype == np.float64
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), probabilities, rtol=1e-12)
