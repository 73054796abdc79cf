"""Segments: adjacent layers together, as few as are worth a segment, and what they cost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nncodec.coding.segments import (
    ENDING_SEGMENT_BITS,
    SEGMENT_BITS,
    CodedSegment,
    segment_layers,
)

shapes = st.tuples(*(st.integers(1, most) for most in (40, 3, 30, 30, 9)))


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40))
def test_every_layer_is_in_one_segment_and_small_ones_are_together(bits: list[int]) -> None:
    segments = segment_layers(bits)
    assert [layer for layers in segments for layer in layers] == list(range(len(bits)))
    for layers in segments[:-1]:
        of_layers = bits[layers.start : layers.stop]
        assert sum(of_layers) >= SEGMENT_BITS > sum(of_layers[:-1])
    assert segments[-1]


@given(st.lists(st.integers(0, 20000), min_size=1, max_size=40))
def test_where_positions_end_no_segment_is_small_but_the_only_one(bits: list[int]) -> None:
    segments = segment_layers(bits, ending=True)
    assert [layer for layers in segments for layer in layers] == list(range(len(bits)))
    for layers in segments[: len(segments) if len(segments) > 1 else 0]:
        assert sum(bits[layers.start : layers.stop]) >= ENDING_SEGMENT_BITS
    for layers in segments[:-1]:
        assert sum(bits[layers.start : layers.stop - 1]) < ENDING_SEGMENT_BITS


@given(st.integers(0, 2**32 - 1))
def test_a_segment_gives_what_is_coded_in_coding_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    marks = random.integers(0, 2, (3, 5), dtype=np.uint8)
    decided = random.integers(0, 2, (3, 5)) > 0
    codes = random.integers(0, 2, (3, 5, 4), dtype=np.uint8)
    asked = random.integers(1, 1 << 16, (3, 5, 4)).astype(np.uint16) * marks[..., None]
    decisions = random.integers(1, 1 << 16, (3, 5)).astype(np.uint16) * decided
    segment = CodedSegment(codes.reshape(3, -1), asked.reshape(3, -1), marks, decisions)
    for plain in (False, True):
        expected: list[tuple[int, int]] = []
        for at in np.ndindex(3, 5):
            if decided[at]:
                expected.append((int(marks[at]), int(decisions[at])))
            if marks[at]:
                chances = np.full(4, 1 << 15) if plain else asked[at]
                expected += zip(codes[at], chances, strict=True)
        assert list(zip(*segment.symbols(plain=plain), strict=True)) == expected
    assert segment.bits() == (4 * marks.sum(axis=1)).tolist()
    assert (segment.logits().reshape(asked.shape)[asked == 0] == 0).all()


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
