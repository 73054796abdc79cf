"""Many tensors in one container: they come back, all or some, also where others are lost."""

import io
import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nncodec
from nncodec.coding import many
from nncodec.coding.codec import encode_source
from nncodec.coding.many import decode_arrays
from nncodec.coding.threads import Threads
from nncodec.errors import BitstreamError, CodesError, ModelError
from nncodec.format.container import ContainerReader
from nncodec.format.header import pack_header
from nncodec.format.source import Source
from nncodec.model.model import Model
from nncodec.model.packing import pack_model
from tests import reference_decoder
from tests.sample_networks import causal_network, random_network
from tests.samples import averaged_codes, random_model, random_start

Codes = npt.NDArray[np.uint8]

FEW = max(2, settings().max_examples // 4)
"""Those of tests that decode by the reference."""


@st.composite
def lists(
    draw: st.DrawFn, most: int = 6, channels: tuple[int, ...] = (1, 3, 18, 70)
) -> list[Codes]:
    """Tensors of the same layers and channels, some of them of the same size."""
    layers, depth = draw(st.integers(1, 4)), draw(st.sampled_from(channels))
    size = st.tuples(st.integers(1, 3), st.integers(1, most), st.integers(1, most))
    sizes: list[tuple[int, int, int]] = []
    for one in draw(st.lists(size | st.none(), min_size=1, max_size=7)):
        sizes.append(one or (sizes[-1] if sizes else (1, 2, 2)))
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    share = draw(st.sampled_from([0.1, 0.5]))
    return [(random.random((layers, *one, depth)) < share).astype(np.uint8) for one in sizes]


def assert_same(found: list[Codes], expected: list[Codes]) -> None:
    assert [one.shape for one in found] == [one.shape for one in expected]
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


groups = st.integers(0, 6)


@given(lists(), groups, st.none() | st.booleans(), st.data())
def test_tensors_come_back(
    arrays: list[Codes], group: int, sequence: bool | None, data: st.DataObject
) -> None:
    packed = nncodec.encode_many(arrays, group=group, sequence=sequence, threads=1)
    assert packed == nncodec.encode_many(arrays, group=group, sequence=sequence, threads=3)
    assert_same(nncodec.decode_many(packed, threads=3), arrays)
    layers = data.draw(st.integers(1, len(arrays[0])))
    only = data.draw(st.lists(st.sampled_from(range(len(arrays))), max_size=4))
    some = nncodec.decode_many(packed, layers=layers, only=only, threads=2)
    assert_same(some, [arrays[number][:layers] for number in only])


@settings(max_examples=FEW)
@given(lists(4, (1, 3, 5)), groups, st.booleans(), st.integers(0, 5), st.data())
def test_the_reference_decodes_them(
    arrays: list[Codes], group: int, sequence: bool, kind: int, data: st.DataObject
) -> None:
    layers, channels = len(arrays[0]), arrays[0].shape[4]
    model, file = None, None
    if kind < 2:
        seed = data.draw(st.integers(0, 1 << 30))
        network = causal_network(layers, channels, gain=0.5)
        if kind:
            network = random_network(layers, channels, seed)
        model = Model(random_start(layers, channels, seed, with_network=True), network)
        file = pack_model(model)
    packed = nncodec.encode_many(arrays, model or "adaptive", group=group, sequence=sequence)
    wanted = data.draw(st.integers(1, layers))
    decoded = reference_decoder.decode_arrays(packed, model=file, layers=wanted)
    for found, codes in zip(decoded, arrays, strict=True):
        assert found.shape == (wanted, *codes.shape[1:])
        assert found.bits == codes[:wanted].ravel().tolist()
    assert_same(nncodec.decode_many(packed, model=model), arrays)


@given(lists(), st.integers(1, 6), st.booleans())
def test_groups_are_coded_as_if_they_were_alone(
    arrays: list[Codes], group: int, sequence: bool
) -> None:
    """Where nothing is cut, a group has the payloads that its tensors have in a container."""
    pictures = [codes[:, [number]] for codes in arrays for number in range(codes.shape[1])]
    packed = nncodec.encode_many(pictures, "adaptive", group=group, sequence=sequence)
    groups = [
        nncodec.encode_many(pictures[first : first + group], "adaptive", group=0, sequence=sequence)
        for first in range(0, len(pictures), group)
    ]
    payloads = [data[len(pack_header(nncodec.read_header(data))) :] for data in groups]
    assert packed[len(pack_header(nncodec.read_header(packed))) :] == b"".join(payloads)


def test_a_group_of_equal_pictures_is_coded_as_the_batch_of_them() -> None:
    batch = averaged_codes((3, 5, 9, 8, 8), seed=1)
    plain = encode_source(batch, Source())
    packed = nncodec.encode_many([batch[:, :2], batch[:, 2:]], "adaptive", group=0, sequence=False)
    header = nncodec.read_header(packed)
    assert header.groups == plain.header.groups
    assert packed.endswith(plain.data[len(pack_header(plain.header)) :])


def test_pictures_after_another_are_smaller_than_apart() -> None:
    arrays = [averaged_codes((2, 1, 12, 16, 16), seed=1)[:, :, : 12 - 1 - n] for n in range(6)]
    apart = sum(len(nncodec.encode(codes, "adaptive")) for codes in arrays)
    assert len(nncodec.encode_many(arrays, "adaptive", group=0)) < 0.95 * apart


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_damage_of_a_group_leaves_the_others(damaged: int) -> None:
    arrays = [averaged_codes((2, 2, 6, 5 + number % 2, 16), seed=number) for number in range(6)]
    data = bytearray(nncodec.encode_many(arrays, "adaptive", group=5, threads=1))
    lengths = [group.byte_length for group in nncodec.read_header(bytes(data)).groups]
    first = len(data) - sum(lengths[damaged:])
    data[first + lengths[damaged] // 2] ^= 4
    with pytest.raises(BitstreamError, match="damaged; get another copy"):
        nncodec.decode_many(bytes(data))
    for threads in (1, 3):
        reader = ContainerReader(io.BytesIO(data))
        found = dict(decode_arrays(reader, partial=True, threads=Threads(threads)))
        ends = [min(12, 5 * (damaged + 1)), 5 * damaged]
        lost = {number for number in range(6) if 2 * number < ends[0] and 2 * number + 2 > ends[1]}
        assert set(found) == set(range(6)) - lost
        assert_same(list(found.values()), [arrays[number] for number in found])


def test_a_file_that_ends_early_has_its_first_members() -> None:
    arrays = [averaged_codes((2, 1, 6, 5, 16), seed=number) for number in range(6)]
    data = nncodec.encode_many(arrays, "adaptive", group=2)
    last = nncodec.read_header(data).groups[-1].byte_length
    for size, whole in ((len(data) - 1, 4), (len(data) - last, 4), (len(data) - last - 1, 2)):
        reader = ContainerReader(io.BytesIO(data[:size]))
        assert [number for number, _ in decode_arrays(reader, partial=True)] == [*range(whole)]


def test_groups_are_no_larger_than_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [np.ones((2, 3, 4, 5, 3), dtype=np.uint8), np.zeros((2, 4, 2, 5, 3), dtype=np.uint8)]
    for name, limit in (("MAX_POSITIONS", 40), ("MAX_BITS", 240)):
        with monkeypatch.context() as patch:
            patch.setattr(many, name, limit)
            data = nncodec.encode_many(arrays, group=0, sequence=False)
            counts = [group.pictures for group in nncodec.read_header(data).groups]
            assert counts == [2, 3, 2]
            assert_same(nncodec.decode_many(data), arrays)
    assert len(nncodec.read_header(nncodec.encode_many(arrays, group=0)).groups) == 1


def test_there_are_no_more_groups_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.ones((1, 3, 1, 1, 1), dtype=np.uint8)
    monkeypatch.setattr(many, "MAX_GROUPS", 3)
    assert_same(nncodec.decode_many(nncodec.encode_many([codes], group=1)), [codes])
    message = "the pictures need more groups than the limit of 3; use larger ones, or several"
    with pytest.raises(CodesError, match=message):
        nncodec.encode_many([codes, codes[:, :1]], group=1)


def test_a_model_may_be_held_or_named() -> None:
    arrays = [averaged_codes((2, 1, 6, 5 + number, 8), seed=number) for number in range(4)]
    model = random_model(2, 8)
    data = nncodec.encode_many(arrays, model, group=2, embed_model=True)
    assert_same(nncodec.decode_many(data, threads=2), arrays)
    data = nncodec.encode_many(arrays, model, group=2)
    assert_same(nncodec.decode_many(data, model=model, threads=2), arrays)
    with pytest.raises(ModelError, match="needs model"):
        nncodec.decode_many(data, model=random_model(2, 8, seed=1))


def test_bad_input() -> None:
    one, other = (np.zeros((2, 1, 2, 2, depth), dtype=np.uint8) for depth in (3, 4))
    with pytest.raises(CodesError, match="there are no arrays; give at least one"):
        nncodec.encode_many([])
    with pytest.raises(CodesError, match="array 1: the array has 4 axes, and axes lnhwc name 5"):
        nncodec.encode_many([one, one[0]])
    line = "array 1: has 2 layers of 4 bits, the first 2 of 3; name the axes, or put it into"
    with pytest.raises(CodesError, match=line):
        nncodec.encode_many([one, other])
    with pytest.raises(ValueError, match="group must be at least 0, not -1"):
        nncodec.encode_many([one], group=-1)
    data = nncodec.encode_many([one, one])
    with pytest.raises(CodesError, match="the container holds 2 arrays; use decode_many"):
        nncodec.decode(data)
    with pytest.raises(CodesError, match="there is no array 2 among the 2"):
        nncodec.decode_many(data, only=[0, 2])
    with pytest.raises(CodesError, match="2 arrays of 48 bits in all is above the limit of 47"):
        nncodec.decode_many(data, max_bits=47)
    assert_same(nncodec.decode_many(data, max_bits=24, only=[1]), [one])
    assert (nncodec.decode(nncodec.encode_many([one])) == one).all()
    assert_same(nncodec.decode_many(nncodec.encode(one)), [one])


def test_progress_is_told_of_all_bits() -> None:
    arrays = [averaged_codes((2, 1, 6, 5, 8), seed=number) for number in range(5)]
    for count, group in itertools.product((1, 2, 4), (1, 2, 0)):
        told: list[int] = []
        data = nncodec.encode_many(arrays, "adaptive", group=group)
        reader = ContainerReader(io.BytesIO(data))
        list(decode_arrays(reader, threads=Threads(count, told.append)))
        assert sum(told) == sum(codes.size for codes in arrays)
