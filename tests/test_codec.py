"""Code tensors <-> containers: lossless, progressive, as small as promised."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncodec
from nncodec.coding.codec import code_lengths, encode_source
from nncodec.coding.threads import Threads
from nncodec.format.source import Source
from nncodec.training.data import synthetic
from tests.samples import averaged_codes

Codes = npt.NDArray[np.uint8]

HEADER_BYTES, SEGMENT_BYTES = 32, 12
"""What a container may have besides its payloads' ideal size."""


@st.composite
def code_tensors(draw: st.DrawFn, most_bits: int = 6000) -> Codes:
    """Tensors of any shape: random, biased, constant, or smooth as real codes are."""
    sizes = [
        draw(st.integers(1, 32)),  # layers
        draw(st.integers(1, 4)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 40)),
        draw(st.integers(1, 64)),
    ]
    for axis in draw(st.permutations(range(5))):
        rest = int(np.prod(sizes)) // sizes[axis]
        sizes[axis] = max(1, min(sizes[axis], most_bits // rest))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["random", "biased", "constant", "smooth"]))
    if kind == "constant":
        return np.full(sizes, draw(st.integers(0, 1)), dtype=np.uint8)
    if kind == "biased":
        return (random.random(sizes) < 0.03).astype(np.uint8)
    noise = random.normal(size=sizes)
    if kind == "smooth":
        noise = noise.cumsum(axis=2).cumsum(axis=3)
    return (noise > 0).astype(np.uint8)


def smooth_codes(shape: tuple[int, ...], seed: int = 0) -> Codes:
    noise = np.random.default_rng(seed).normal(size=shape)
    return (noise.cumsum(axis=2).cumsum(axis=3) > 0).astype(np.uint8)


@given(code_tensors(), st.sampled_from([None, False, True]))
def test_decode_gives_back_what_encode_was_given(codes: Codes, sequence: bool | None) -> None:
    container = nncodec.encode(codes, sequence=sequence)
    decoded = nncodec.decode(container)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, codes)
    assert sequence is None or nncodec.read_header(container).sequence == sequence


@given(code_tensors(), st.booleans(), st.data())
def test_the_first_layers_decode_alone_from_their_part_of_the_file(
    codes: Codes, sequence: bool, data: st.DataObject
) -> None:
    layers = data.draw(st.integers(1, len(codes)))
    container = nncodec.encode(codes, sequence=sequence)
    header = nncodec.read_header(container)
    later = sum(
        segment.byte_length
        for segment, held in zip(header.segments, header.segment_layers(), strict=True)
        if held.start >= layers
    )
    first_part = container[: len(container) - later]
    np.testing.assert_array_equal(nncodec.decode(first_part, layers=layers), codes[:layers])


@given(code_tensors(), st.booleans())
def test_a_container_is_as_large_as_theory_says(codes: Codes, sequence: bool) -> None:
    encoded = encode_source(codes, Source(), sequence=sequence)
    ideal = sum(layer.code_length or 0 for layer in encoded.layers) / 8
    segments = len(encoded.header.segments)
    assert len(encoded.data) <= ideal * 1.0005 + HEADER_BYTES + SEGMENT_BYTES * segments


@given(code_tensors(), st.booleans())
def test_code_lengths_are_those_of_the_coded_layers(codes: Codes, sequence: bool) -> None:
    layers = encode_source(codes, Source(), sequence=sequence).layers
    coded = np.array([layer.code_length for layer in layers], float)
    np.testing.assert_allclose(code_lengths(codes, sequence=sequence), coded, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 400))
def test_random_bits_never_grow_by_more_than_promised(seed: int, layers: int, cells: int) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 2, (layers, 1, 3, cells, 2), dtype=np.uint8)
    container = nncodec.encode(codes)
    segments = len(nncodec.read_header(container).segments)
    packed = -(-codes.size // 8)
    assert len(container) <= packed + HEADER_BYTES + SEGMENT_BYTES * segments


def test_incompressible_layers_are_stored() -> None:
    codes = np.random.default_rng(0).integers(0, 2, (2, 1, 16, 16, 16), dtype=np.uint8)
    codes[0] = 0
    layers = encode_source(codes, Source()).layers
    assert [layer.stored for layer in layers] == [False, True]
    assert layers[1].bytes == codes[1].size // 8
    np.testing.assert_array_equal(nncodec.decode(nncodec.encode(codes)), codes)


def test_small_layers_share_a_segment_and_large_ones_do_not() -> None:
    small = nncodec.encode(smooth_codes((8, 1, 8, 8, 4)))
    assert [segment.layers for segment in nncodec.read_header(small).segments] == [8]
    large = nncodec.encode(smooth_codes((3, 1, 32, 32, 8)))
    assert [segment.layers for segment in nncodec.read_header(large).segments] == [1, 1, 1]


@pytest.mark.parametrize("channels", [64, 65, 130])
def test_layers_of_any_depth_are_lossless(channels: int) -> None:
    codes = smooth_codes((2, 1, 5, 7, channels))
    np.testing.assert_array_equal(nncodec.decode(nncodec.encode(codes)), codes)


def test_what_the_model_learns_pays_on_correlated_codes() -> None:
    codes = smooth_codes((2, 1, 32, 32, 8))
    assert len(nncodec.encode(codes)) * 8 < 0.5 * codes.size


def bits_of(codes: Codes, *, sequence: bool = False) -> float:
    return float(code_lengths(codes, sequence=sequence).sum())


def test_how_pictures_are_grouped_changes_the_size_little() -> None:
    """The stage learns from all pictures before, whatever batch, layer or segment they are in."""
    codes = averaged_codes((2, 24, 12, 12, 8), seed=0)
    size = bits_of(codes)
    orders = [np.arange(24)[::-1], np.random.default_rng(0).permutation(24)]
    for order in orders:
        assert bits_of(codes[:, order]) == pytest.approx(size, rel=0.02)
    # Many pictures, one above another or beside another, are one large picture.
    tall = codes.reshape(2, 1, 24 * 12, 12, 8)
    wide = np.moveaxis(codes, 1, 2).reshape(2, 1, 12, 24 * 12, 8)
    for one in (tall, wide):
        assert bits_of(one) == pytest.approx(size, rel=0.02)
    alone = sum(bits_of(codes[:, [picture]]) for picture in range(24))
    assert alone > 1.05 * size


def test_frames_that_resemble_each_other_are_cheap_as_a_sequence() -> None:
    frame = averaged_codes((2, 1, 12, 12, 8), seed=0)
    film = np.repeat(frame, 12, axis=1)
    film ^= np.random.default_rng(0).random(film.shape) < 0.02
    apart, together = bits_of(film), bits_of(film, sequence=True)
    assert together < 0.5 * apart
    moved = film[:, np.random.default_rng(1).permutation(12)]  # they all resemble each other
    assert bits_of(moved, sequence=True) == pytest.approx(together, rel=0.03)


@pytest.mark.parametrize("shape", [(2, 24, 24, 24, 8), (1, 100, 8, 8, 16), (3, 8, 24, 24, 32)])
def test_pictures_that_have_nothing_to_do_with_each_other_cost_little_more_as_a_sequence(
    shape: tuple[int, ...],
) -> None:
    for bias in (0.0, 0.5):
        codes = averaged_codes(shape, seed=0, bias=bias)
        assert bits_of(codes, sequence=True) < 1.005 * bits_of(codes)


def test_a_synthetic_sample_keeps_the_overhead_bound() -> None:
    sample = synthetic.generate_sample(seed=1)
    codes = np.moveaxis(sample.reshape(1, 31, 36, 4, 2), 3, 0)
    encoded = encode_source(codes, Source())
    ideal = sum(layer.code_length or 0 for layer in encoded.layers) / 8
    bound = ideal * 1.0005 + HEADER_BYTES + SEGMENT_BYTES * len(encoded.header.segments)
    assert len(encoded.data) <= bound
    np.testing.assert_array_equal(nncodec.decode(encoded.data), codes)


def test_every_flipped_bit_is_refused() -> None:
    codes = smooth_codes((2, 1, 6, 6, 3))
    container = nncodec.encode(codes)
    for bit in range(8 * len(container)):
        damaged = bytearray(container)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(nncodec.BitstreamError):
            nncodec.decode(bytes(damaged))


def test_every_truncation_and_extension_is_refused() -> None:
    container = nncodec.encode(smooth_codes((3, 1, 12, 12, 16)))
    for length in range(len(container)):
        with pytest.raises(nncodec.BitstreamError):
            nncodec.decode(container[:length])
    with pytest.raises(nncodec.BitstreamError, match="follows the last payload"):
        nncodec.decode(container + b"\0")


def test_a_swapped_payload_is_refused() -> None:
    first = nncodec.encode(smooth_codes((1, 1, 16, 16, 8), seed=1))
    second = nncodec.encode(smooth_codes((1, 1, 16, 16, 8), seed=2))
    offset = len(second) - nncodec.read_header(second).segments[0].byte_length
    length = nncodec.read_header(first).segments[0].byte_length
    payload = (second[offset:] + bytes(length))[:length]
    with pytest.raises(nncodec.BitstreamError, match="damaged"):
        nncodec.decode(first[: len(first) - length] + payload)


def test_encode_takes_any_binary_array_and_refuses_others() -> None:
    codes = smooth_codes((2, 1, 4, 4, 4))
    container = nncodec.encode(codes)
    for dtype in (bool, np.int64, np.float32):
        data = nncodec.encode(codes.astype(dtype))
        assert len(data) == len(container)
        assert (nncodec.decode(data) == codes).all()
        assert nncodec.decode(data, like="array").dtype == dtype
    assert nncodec.encode(np.asfortranarray(codes)) == container
    assert nncodec.encode(np.repeat(codes, 2, axis=3)[:, :, :, ::2]) == container
    locked = codes.copy()
    locked.flags.writeable = False
    assert nncodec.encode(locked) == container
    assert (code_lengths(locked) == code_lengths(codes)).all()
    with pytest.raises(nncodec.CodesError, match="4 axes, and axes lnhwc name 5"):
        nncodec.encode(codes[0])
    with pytest.raises(nncodec.CodesError, match="more than two values"):
        nncodec.encode(codes + codes[::-1])
    with pytest.raises(nncodec.CodesError):
        nncodec.encode(codes[:0])


@pytest.mark.parametrize(
    ("shape", "limit"),
    [((2, 1, 1, 1, 10000), "16384 bits at a position"), ((1, 1 << 26, 1, 1, 1), "positions")],
)
def test_tensors_above_a_limit_are_refused_before_any_work(
    shape: tuple[int, ...], limit: str
) -> None:
    codes = np.broadcast_to(np.zeros((), dtype=np.uint8), shape)
    for function in (nncodec.encode, code_lengths):
        with pytest.raises(nncodec.CodesError, match=f"above the limit of .*{limit}"):
            function(codes)


def test_large_numbers_of_channels_and_pictures_are_lossless() -> None:
    for shape in ((1, 1, 1, 1, 1 << 12), (1, 1 << 19, 1, 1, 1)):
        codes = np.random.default_rng(0).integers(0, 2, shape, dtype=np.uint8)
        np.testing.assert_array_equal(nncodec.decode(nncodec.encode(codes)), codes)


def test_more_layers_than_there_are_is_refused() -> None:
    container = nncodec.encode(np.zeros((2, 1, 2, 2, 2), dtype=np.uint8))
    for layers in (0, 3):
        with pytest.raises(nncodec.CodesError, match="2"):
            nncodec.decode(container, layers=layers)


def test_containers_are_the_same_made_alone_or_beside_others() -> None:
    tensors = [smooth_codes((3, 1, 12, 12, 8), seed=seed) for seed in range(6)]
    alone = [nncodec.encode(codes) for codes in tensors]
    with ThreadPoolExecutor(max_workers=4) as pool:
        assert list(pool.map(nncodec.encode, tensors)) == alone
        for codes, decoded in zip(tensors, pool.map(nncodec.decode, alone), strict=True):
            np.testing.assert_array_equal(decoded, codes)


def test_progress_adds_up_to_all_bits() -> None:
    codes = smooth_codes((2, 2, 5, 6, 3))
    counts: list[int] = []
    encode_source(codes, Source(), threads=Threads(progress=counts.append))
    assert sum(counts) == codes.size
