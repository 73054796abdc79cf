"""What is trained on: which codes are read, how they are split, and what each batch has."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nncodec.errors import NncodecError
from nncodec.files.array_files import npz_bytes
from nncodec.files.code_files import read_code_file
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.training.configs import InputConfig, ModelConfig, make_config
from nncodec.training.data import code_reading
from nncodec.training.data.batches import Batches, CodeSet, SyntheticSet
from nncodec.training.data.code_reading import AXES_FILES, STACK_BITS, Layers
from nncodec.training.data.code_sets import SYNTHETIC_SAMPLES, CodeSets, read_code_sets
from nncodec.training.data.epochs import Epochs
from nncodec.training.data.examples import write_samples
from nncodec.training.data.packed_codes import PackedCodes


def random_codes(*shape: int, seed: int = 0) -> Codes:
    return np.random.default_rng((seed, *shape)).integers(0, 2, shape, dtype=np.uint8)


def network_order(codes: Codes) -> list[bytes]:
    """The samples of canonical codes, each as the bytes of [height, width, depth]."""
    layers, images, height, width, layer_depth = codes.shape
    samples = []
    for image in range(images):
        sample = np.empty((height, width, layers * layer_depth), np.uint8)
        for layer in range(layers):
            start = layer * layer_depth
            sample[:, :, start : start + layer_depth] = codes[layer, image]
        samples.append(sample.tobytes())
    return samples


def samples_of(codes: CodeSet) -> list[bytes]:
    return [sample for file in codes.files for sample in network_order(file)]


# --- batches -----------------------------------------------------------------------------------

# Layers, batch, height, width, layer_depth: three sizes, and two numbers of layers.
MIXED = [(2, 3, 5, 6, 4), (2, 1, 6, 5, 4), (2, 1, 5, 6, 4), (1, 2, 5, 6, 4), (2, 2, 6, 5, 4)]


def mixed() -> CodeSet:
    return CodeSet([random_codes(*shape, seed=i) for i, shape in enumerate(MIXED)])


def draw_epoch(batches: Batches, samples: int, start: int = 0) -> list[Codes]:
    drawn: list[Codes] = []
    while sum(map(len, drawn)) < samples:
        drawn.append(batches.draw(start + len(drawn)))
    return drawn


@given(batch_size=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_an_epoch_has_every_sample_once(batch_size: int, seed: int) -> None:
    codes = mixed()
    batches = codes.batches(batch_size, seed=seed)
    everything = sorted(samples_of(codes))
    start = 0
    for _ in range(2):
        epoch = draw_epoch(batches, codes.samples, start)
        assert sorted(sample.tobytes() for batch in epoch for sample in batch) == everything
        # As few batches as there can be of 4, 3 and 2 samples of a size, and equal ones.
        assert len(epoch) == sum(math.ceil(count / batch_size) for count in (4, 3, 2))
        assert [len(batch) for batch in epoch] == [
            batches.size(start + i) for i in range(len(epoch))
        ]
        for shape in {batch.shape[1:] for batch in epoch}:
            sizes = [len(batch) for batch in epoch if batch.shape[1:] == shape]
            assert max(sizes) - min(sizes) <= 1
        start += len(epoch)


@given(count=st.integers(1, 5), step=st.integers(0, 1000))
def test_processes_share_a_batch(count: int, step: int) -> None:
    batches = mixed().batches(3, seed=5)
    batch = batches.draw(step)
    shares = [batches.draw(step, rank, count) for rank in range(count)]
    assert all(share.shape[1:] == batch.shape[1:] for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    drawn = [sample.tobytes() for share in shares for sample in share]
    assert sorted(drawn) == sorted(sample.tobytes() for sample in batch)


def test_batches_depend_on_step_and_seed_alone() -> None:
    steps = [40, 3, 4, 41, 3]
    first, second = mixed().batches(2, seed=1, crop=4), mixed().batches(2, seed=1, crop=4)
    in_order = {step: first.draw(step) for step in range(42)}
    for step in steps:
        assert np.array_equal(second.draw(step), in_order[step])


def test_order_differs_between_epochs_and_seeds() -> None:
    codes = CodeSet([random_codes(1, 30, 4, 4, 4)])
    batches = codes.batches(1, seed=1)
    epochs = [[batch.tobytes() for batch in draw_epoch(batches, 30, start)] for start in (0, 30)]
    other = [batch.tobytes() for batch in draw_epoch(codes.batches(1, seed=2), 30)]
    assert epochs[0] != epochs[1]
    assert epochs[0] != other
    sizes = mixed().batches(1, seed=1)
    orders = {tuple(batch.shape[1:] for batch in draw_epoch(sizes, 9, 9 * i)) for i in range(4)}
    assert len(orders) == 4


def test_crops() -> None:
    # The bits of a position say its row and its column.
    rows, columns = np.meshgrid(np.arange(9), np.arange(7), indexing="ij")
    bits = np.stack([value >> i & 1 for value in (rows, columns) for i in range(4)], axis=-1)
    batches = CodeSet([bits.astype(np.uint8)[None, None]]).batches(2, seed=3, crop=5)
    corners = set()
    for step in range(200):
        (sample,) = batches.draw(step)
        assert sample.shape == (5, 5, 8)
        row, column = (sample[..., i : i + 4] @ [1, 2, 4, 8] for i in (0, 4))
        assert np.array_equal(row - row[0, 0], rows[:5, :5])
        assert np.array_equal(column - column[0, 0], columns[:5, :5])
        corners.add((int(row[0, 0]), int(column[0, 0])))
    assert corners == {(y, x) for y in range(5) for x in range(3)}


def test_crops_leave_small_sides_whole() -> None:
    codes = CodeSet([random_codes(1, 1, 9, 3, 4)])
    assert codes.batches(1, crop=5).draw(0).shape == (1, 5, 3, 4)


def test_crops_let_sizes_share_a_batch() -> None:
    codes = CodeSet([random_codes(2, 1, 6, 8, 4), random_codes(2, 1, 8, 6, 4)])
    assert len(codes.batches(4).draw(0)) == 1
    assert codes.batches(4, crop=6).draw(0).shape == (2, 6, 6, 8)


# Of three pictures of a kind, two have other sides than the first; a few have one layer less.
ALIKE = [(2, 2, 10, 14, 4), (2, 1, 11, 13, 4), (2, 1, 10, 15, 4), (2, 3, 14, 10, 4)]
ALIKE += [(2, 1, 13, 10, 4), (1, 2, 10, 14, 4), (2, 1, 40, 60, 4), (2, 5, 3, 3, 4)]


def by_bits(batch_bits: int, seed: int = 0) -> tuple[Epochs, Batches]:
    codes = CodeSet([random_codes(*shape, seed=i) for i, shape in enumerate(ALIKE)])
    return Epochs(codes.shapes, 1, batch_bits, seed, 0), codes.batches(
        1, batch_bits=batch_bits, seed=seed
    )


@given(batch_bits=st.integers(1, 20_000), seed=st.integers(0, 2**32 - 1))
def test_batches_of_a_number_of_bits(batch_bits: int, seed: int) -> None:
    epochs, batches = by_bits(batch_bits, seed)
    everything = sorted((i, k) for i, shape in enumerate(ALIKE) for k in range(shape[1]))
    step = 0
    for _ in range(2):
        seen: list[tuple[int, int]] = []
        while len(seen) < len(everything):
            crops = epochs.crops(step)
            whole = sum(math.prod(ALIKE[crop.file][2:4]) for crop in crops)
            layers = {ALIKE[crop.file][0] for crop in crops}
            for crop in crops:
                height, width = ALIKE[crop.file][2:4]
                assert 0 <= crop.rows.start < crop.rows.stop <= height
                assert 0 <= crop.columns.start < crop.columns.stop <= width
            drawn = batches.draw(step)
            assert len(layers) == 1
            assert len(drawn) == len(crops) == batches.size(step)
            if len(crops) > 1:
                assert drawn.size <= 1.5 * batch_bits
                assert drawn[..., 0].size >= 0.8 * whole or whole * 4 > 2 * batch_bits
            else:
                assert drawn.size <= max(2 * batch_bits, 8)
            seen += [(crop.file, crop.image) for crop in crops]
            step += 1
        assert sorted(seen) == everything


def test_pictures_meet_others_in_every_epoch() -> None:
    epochs, _ = by_bits(3000)
    company = set()
    for step in range(60):
        crops = epochs.crops(step)
        assert len({crop.rows.stop - crop.rows.start for crop in crops}) == 1
        company.add(frozenset((crop.file, crop.image) for crop in crops))
    assert len(company) > 12
    assert {len(batch) for batch in company} >= {1, 2, 3}


@given(count=st.integers(1, 4), step=st.integers(0, 300))
def test_batches_of_bits_depend_on_step_and_seed_alone(count: int, step: int) -> None:
    _, first = by_bits(2500, seed=3)
    _, second = by_bits(2500, seed=3)
    second.draw(17)
    batch = first.draw(step)
    assert np.array_equal(batch, second.draw(step))
    shares = [second.draw(step, rank, count) for rank in range(count)]
    assert all(np.array_equal(share, batch[rank::count]) for rank, share in enumerate(shares))


def test_some_files() -> None:
    codes = CodeSet([random_codes(1, 1, 4, 4, 4, seed=i) for i in range(20)], beside=None)
    few = codes.some(5 * 64, seed=1)
    assert (len(few.files), few.bits) == (5, 5 * 64)
    assert samples_of(few) == [sample for sample in samples_of(codes) if sample in samples_of(few)]
    assert samples_of(codes.some(5 * 64, seed=1)) == samples_of(few)
    assert samples_of(codes.some(5 * 64, seed=2)) != samples_of(few)
    assert samples_of(codes.some(10**9, seed=2)) == samples_of(codes)
    assert len(codes.some(1, seed=0).files) == 1
    logits = [np.full(file.shape, i, np.float16) for i, file in enumerate(codes.files)]
    beside = codes.with_logits(logits).some(5 * 64, seed=1).beside
    assert beside
    assert [samples_of(codes)[int(file.flat[0])] for file in beside.files] == samples_of(few)


def test_in_order() -> None:
    codes = mixed()
    batches = list(codes.in_order(2))
    assert [len(batch) for batch in batches] == [2, 1, 1, 1, 2, 2]
    assert [sample.tobytes() for batch in batches for sample in batch] == samples_of(codes)


def test_counts_and_checksum() -> None:
    codes = mixed()
    assert codes.samples == 9
    assert codes.bits == sum(math.prod(shape) for shape in MIXED)
    assert codes.checksum() == mixed().checksum()
    changed = mixed()
    changed.files[3][0, 1, 2, 3, 1] ^= 1
    assert codes.checksum() != changed.checksum()
    reshaped = CodeSet([file.reshape(file.shape[::-1]) for file in mixed().files])
    assert codes.checksum() != reshaped.checksum()


# --- synthetic codes ---------------------------------------------------------------------------


def test_synthetic_batches_never_repeat() -> None:
    codes = SyntheticSet(3, 4, 2, seed=1, stream=0)
    batches = codes.batches(100)
    drawn = [sample.tobytes() for step in range(8) for sample in batches.draw(step)]
    assert len(set(drawn) | set(samples_of(codes))) == 803
    assert batches.draw(2).shape == (100, 35, 48, 8)


def test_synthetic_batches_are_shared_and_repeatable() -> None:
    batches = SyntheticSet(1, 4, 2, seed=1, stream=0).batches(100)
    batch = batches.draw(5)
    shares = [batches.draw(5, rank, 3) for rank in range(3)]
    assert batches.size(5) == len(batch) == sum(map(len, shares))
    assert all(np.array_equal(share, batch[rank::3]) for rank, share in enumerate(shares))
    batches.draw(0)
    assert np.array_equal(SyntheticSet(1, 4, 2, seed=1, stream=0).batches(100).draw(5), batch)


def test_synthetic_streams_and_seeds_have_nothing_in_common() -> None:
    sets = [SyntheticSet(4, 4, 2, seed, stream) for seed in (0, 1) for stream in (0, 1)]
    assert len({sample for codes in sets for sample in samples_of(codes)}) == 16
    firsts = {codes.batches(1).draw(0).tobytes() for codes in sets}
    assert len(firsts) == 4


def test_synthetic_codes_stay_the_same() -> None:
    # Runs go on from checkpoints of earlier versions of numpy.
    assert SyntheticSet(2, 4, 2, seed=7, stream=1).checksum() == 2272532104
    drawn = SyntheticSet(1, 4, 2, seed=7, stream=0).batches(8).draw(40)
    assert CodeSet([drawn[None]]).checksum() == 52981528


# --- what is read ------------------------------------------------------------------------------


def layers_of(layer_depth: int, layer_count: int, coded_layer_count: int = 0) -> ModelConfig:
    words = {"layer_depth": layer_depth, "layer_count": layer_count}
    return make_config(ModelConfig, words | {"coded_layer_count": coded_layer_count})


LAYERS = layers_of(4, 3)


def save_codes(path: pathlib.Path, codes: Codes) -> Codes:
    """Writes a packed code file, nhwc."""
    shape = np.array(codes.shape)
    path.write_bytes(npz_bytes({"shape": shape, "codes": np.packbits(codes)}))
    return codes


def save_records(path: pathlib.Path, samples: Sequence[Codes]) -> list[bytes]:
    with path.open("wb") as file:
        write_samples(file, samples)
    return [sample.tobytes() for sample in samples]


def read(
    data: Any,
    *,
    layers: ModelConfig | Layers = LAYERS,
    share: float = 0.25,
    seed: int = 0,
    unique: bool = True,
    **words: Any,
) -> tuple[CodeSet, CodeSet]:
    patterns = [str(item) for item in data] if isinstance(data, list) else str(data)
    given = {"data": patterns, "unique_code_size": unique, "axes": "hwc,lnhwc"}
    config = make_config(InputConfig, given | words)
    return read_code_sets(config, layers, validation_share=share, seed=seed)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Eight code files of two layers, and something else."""
    for number in range(8):
        save_codes(tmp_path / f"codes{number}.npz", random_codes(2, 1, 4, 5, 4, seed=number))
    (tmp_path / "README.txt").write_text("not codes")
    (tmp_path / ".hidden.npz").write_text("not codes")
    return tmp_path


def all_codes(folder: pathlib.Path) -> list[bytes]:
    return sorted(
        read(folder / f"codes{number}.npz", share=0)[0].files[0].tobytes() for number in range(8)
    )


@pytest.mark.parametrize("pattern", ["", "*.npz", "**/codes*.npz", "codes[0-7].npz"])
def test_folders_and_globs(folder: pathlib.Path, pattern: str) -> None:
    training, validation = read(folder / pattern)
    assert (len(training.files), len(validation.files)) == (6, 2)
    read_back = [*training.files, *validation.files]
    assert sorted(file.tobytes() for file in read_back) == all_codes(folder)
    assert all(file.flags.c_contiguous and file.dtype == np.uint8 for file in read_back)


def test_paths_are_relative_to_the_current_folder(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert len(read("codes0.npz", share=0)[0].files) == 1
    assert len(read(".", share=0)[0].files) == 8


def test_a_file_that_is_named_twice_is_read_once(folder: pathlib.Path) -> None:
    training, _ = read([folder, folder / "codes1.npz", folder / "*.npz"], share=0)
    assert len(training.files) == 8


def test_names_with_special_characters(folder: pathlib.Path) -> None:
    codes = save_codes(folder / "a[1].npz", random_codes(1, 1, 4, 5, 4))
    assert np.array_equal(read(folder / "a[1].npz", share=0)[0].files[0], codes)


def test_validation_share_is_of_the_files(folder: pathlib.Path) -> None:
    splits = set()
    for seed in range(10):
        training, validation = read(folder, seed=seed)
        again = read(folder, seed=seed)
        assert samples_of(again[0]) == samples_of(training)
        assert not set(samples_of(training)) & set(samples_of(validation))
        splits.add(validation.checksum())
    assert len(splits) > 5
    assert len(read(folder, share=0.01)[1].files) == 1
    assert len(read(folder, share=0.99)[0].files) == 1
    nothing = read(folder, share=0)[1]
    assert (len(nothing.files), nothing.samples, list(nothing.in_order(1))) == (0, 0, [])


def test_validation_files_are_never_trained_on(folder: pathlib.Path) -> None:
    names = [str(folder / "codes[23].npz"), str(folder / "codes5.npz")]
    training, validation = read(folder, validation=names)
    assert len(training.files) == 5
    expected = [
        sample
        for name in (2, 3, 5)
        for sample in samples_of(read(folder / f"codes{name}.npz", share=0)[0])
    ]
    assert samples_of(validation) == expected
    assert not set(samples_of(training)) & set(expected)


def test_images_of_a_single_file_are_split(tmp_path: pathlib.Path) -> None:
    codes = save_codes(tmp_path / "codes.npz", random_codes(2, 8, 4, 5, 4))
    training, validation = read(tmp_path / "codes.npz")
    assert [file.shape[1] for file in (*training.files, *validation.files)] == [6, 2]
    split = samples_of(training) + samples_of(validation)
    assert sorted(split) == sorted(network_order(codes))


def test_records_are_split_and_stacked(tmp_path: pathlib.Path) -> None:
    large, small = random_codes(40, 4, 5, 8), random_codes(20, 5, 4, 8)
    written = save_records(tmp_path / "codes.tfrecord", [*large, *small])
    training, validation = read(tmp_path / "codes.tfrecord", unique=False)
    assert (training.samples, validation.samples) == (45, 15)
    assert sorted(samples_of(training) + samples_of(validation)) == sorted(written)
    assert sorted(file.shape[2:] for file in training.files) == [(4, 5, 4), (5, 4, 4)]
    assert {len(file) for file in training.files} == {2}


def test_stacks_are_bounded(tmp_path: pathlib.Path) -> None:
    side = 1 << 8
    assert side * side * 4 * 17 > STACK_BITS
    save_records(tmp_path / "codes.tfrecord", list(random_codes(17, side, side, 4)))
    training, _ = read(tmp_path / "codes.tfrecord", share=0)
    assert [file.shape[1] for file in training.files] == [16, 1]


def test_large_batches_are_cut(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = save_codes(tmp_path / "codes.npz", random_codes(2, 7, 4, 5, 4))
    monkeypatch.setattr(code_reading, "STACK_BITS", 500)
    for memory in (0, 1000):
        monkeypatch.setattr(code_reading, "MEMORY_BYTES", memory)
        training, validation = read(tmp_path / "codes.npz")
        sizes = [file.shape[1] for file in (*training.files, *validation.files)]
        assert sorted(sizes) == [1, 3, 3]
        split = samples_of(training) + samples_of(validation)
        assert sorted(split) == sorted(network_order(codes))


def test_kinds_mix_by_content(tmp_path: pathlib.Path) -> None:
    save_codes(tmp_path / "a", random_codes(2, 1, 4, 5, 4))
    np.save(tmp_path / "b.npy", random_codes(4, 5, 12))  # three layers
    save_records(tmp_path / "c", [random_codes(4, 5, 4)])
    training, _ = read([tmp_path / name for name in ("a", "b.npy", "c")], share=0, unique=False)
    assert sorted(len(file) for file in training.files) == [1, 2, 3]
    assert {file.shape[-1] for file in training.files} == {4}


def test_axes(tmp_path: pathlib.Path) -> None:
    codes = random_codes(2, 1, 3, 5, 4)
    save_codes(tmp_path / "codes.npz", np.ascontiguousarray(np.moveaxis(codes, -1, -3)))
    for axes in ("auto", "lnchw"):
        given = {"data": str(tmp_path / "codes.npz"), "unique_code_size": True, "axes": axes}
        config = make_config(InputConfig, given)
        training, _ = read_code_sets(config, LAYERS, validation_share=0, seed=0)
        assert np.array_equal(training.files[0], codes)


def test_axes_are_looked_for_in_the_first_files_only(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def asking(path: Any, **words: Any) -> Any:
        asked.append(words["axes"])
        return read_code_file(path, **words)

    monkeypatch.setattr(code_reading, "read_code_file", asking)
    for number in range(8):
        save_codes(tmp_path / f"codes{number}.npz", random_codes(2, 1, 5, 6, 4))
    np.save(tmp_path / "z.npy", random_codes(5, 6, 8))  # another form
    config = make_config(InputConfig, {"data": str(tmp_path), "unique_code_size": True})
    training, _ = read_code_sets(config, LAYERS, validation_share=0, seed=0)
    assert asked == ["auto"] * AXES_FILES + ["lnhwc"] * (10 - AXES_FILES) + ["auto"]
    assert len(training.files) == 9
    assert training.axes == "hwc, lnhwc"


def test_layers_that_code_files_say(tmp_path: pathlib.Path) -> None:
    save_codes(tmp_path / "a.npz", random_codes(2, 1, 4, 5, 6))
    save_codes(tmp_path / "b.npz", random_codes(3, 1, 5, 5, 6))
    sets = read(tmp_path, layers=Layers(), share=0, unique=False)
    assert isinstance(sets, CodeSets)
    assert sets.layers == {"layer_depth": 6, "layer_count": 3}
    np.save(tmp_path / "c.npy", random_codes(4, 5, 12))
    assert refusal(tmp_path, layers=Layers(), unique=False) == (
        f"{tmp_path}/c.npy: has the axes hwc, which do not say how many bits a layer has; give "
        "--layer-depth"
    )
    assert len(read(tmp_path, layers=Layers(6), share=0, unique=False)[0].files) == 3
    (tmp_path / "c.npy").unlink()
    save_codes(tmp_path / "d.npz", random_codes(3, 1, 5, 5, 7))
    assert refusal(tmp_path, layers=Layers(), unique=False) == (
        f"layers have 6 bits in {tmp_path}/a.npz, and 7 bits in {tmp_path}/d.npz; train a model "
        "for the codes of one encoder, or name the axes by --axes"
    )
    save_records(tmp_path / "e.tfrecord", [random_codes(4, 5, 8)])
    assert refusal(tmp_path / "e.tfrecord", layers=Layers()) == (
        f"{tmp_path}/e.tfrecord: TFRecord files do not say how many bits a layer has; give "
        "--layer-depth"
    )


def test_files_without_room_in_memory_are_read_again(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_codes(folder / "more.npz", random_codes(2, 7, 4, 5, 4))
    kept, kept_validation = read(folder)
    monkeypatch.setattr(code_reading, "MEMORY_BYTES", 50)  # two files
    left, left_validation = read(folder)
    for ours, theirs in ((kept, left), (kept_validation, left_validation)):
        assert ours.checksum() == theirs.checksum()
        for words in ({"crop": 3}, {"batch_bits": 400}):
            one, other = (codes.batches(3, seed=1, **words) for codes in (ours, theirs))
            for step in range(30):
                assert np.array_equal(one.draw(step), other.draw(step))
    save_codes(folder / "more.npz", random_codes(2, 7, 5, 5, 4))
    save_codes(folder / "codes7.npz", random_codes(1, 1, 4, 5, 4))
    with pytest.raises(NncodecError, match=r"npz: has changed since training began"):
        [codes.checksum() for codes in (left, left_validation)]


def test_coded_layer_count_takes_codes_of_more_layers(tmp_path: pathlib.Path) -> None:
    codes = save_codes(tmp_path / "codes.npz", random_codes(7, 1, 4, 5, 4))
    training, _ = read(tmp_path / "codes.npz", layers=layers_of(4, 3, 2), share=0)
    assert np.array_equal(training.files[0], codes[:3])


def test_synthetic() -> None:
    training, validation = read("synthetic", layers=layers_of(2, 4))
    assert (training.samples, validation.samples) == SYNTHETIC_SAMPLES
    assert {file.shape[0::2] for file in (*training.files, *validation.files)} == {(4, 35, 2)}
    drawn = {sample.tobytes() for step in range(4) for sample in training.batches(64).draw(step)}
    assert not drawn & set(samples_of(validation))
    training, _ = read("synthetic", layers=layers_of(3, 5, 2))
    assert training.files[0].shape[0::2] == (2, 35, 3)
    assert read("synthetic", layers=layers_of(2, 4), share=0)[1].samples == 0


def test_synthetic_with_other_validation_codes(tmp_path: pathlib.Path) -> None:
    codes = save_codes(tmp_path / "codes.npz", random_codes(4, 1, 4, 5, 2))
    path = str(tmp_path / "codes.npz")
    _, validation = read("synthetic", layers=layers_of(2, 4), validation=path)
    assert samples_of(validation) == network_order(codes)


def test_progress_counts_the_bits(folder: pathlib.Path) -> None:
    config = InputConfig(data=str(folder), unique_code_size=True, axes="lnhwc")
    told: list[int] = []
    read_code_sets(config, LAYERS, validation_share=0.5, seed=0, progress=told.append)
    assert told == [160] * 8


# --- refusals ----------------------------------------------------------------------------------


def refusal(data: Any, **options: Any) -> str:
    with pytest.raises(NncodecError) as caught:
        read(data, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_found(tmp_path: pathlib.Path) -> None:
    for name in ("none.npz", "*.npz", "synthetic/*"):
        path = tmp_path / name
        assert refusal(path) == f"{path}: no such file; check the path, or the glob"
    assert refusal(tmp_path) == (
        f"{tmp_path}: no file in this folder ends with .npz, .npy, .tfrecord, .tfrecords; name "
        "other files by a glob"
    )


def test_sizes_that_differ(folder: pathlib.Path) -> None:
    save_codes(folder / "odd.npz", random_codes(2, 1, 5, 4, 4))
    assert refusal(folder) == (
        f"the codes differ in size: 2 layers of 4 x 5 ({folder}/codes0.npz), 2 layers of 5 x 4 "
        f"({folder}/odd.npz); set unique_code_size to false, and `crop` in the training "
        "configuration if batches shall mix them"
    )
    assert read(folder, unique=False, share=0)[0].samples == 9


def test_numbers_of_layers_that_differ(folder: pathlib.Path) -> None:
    save_codes(folder / "odd.npz", random_codes(1, 1, 4, 5, 4))
    assert refusal(folder).startswith("the codes differ in size: 2 layers of 4 x 5 (")


def test_too_many_layers(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "codes.npz"
    save_codes(path, random_codes(4, 1, 4, 5, 4))
    assert refusal(path) == (
        f"{path}: the number of layers, 4, is above layer_count 3; raise that in the model "
        "configuration, or set coded_layer_count there to train on the first layers"
    )


def test_too_few_layers(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "codes.tfrecord"
    save_records(path, [random_codes(4, 5, 8), random_codes(4, 5, 4)])
    assert refusal(path, layers=layers_of(4, 3, 2), unique=False) == (
        f"{path}: record 2: the number of layers, 1, is below coded_layer_count 2; lower that in "
        "the model configuration, or leave these codes out"
    )


def test_layer_depth_that_does_not_fit(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "codes.npz"
    advice = "give another by --layer-depth, or other axes by --axes"
    save_codes(path, random_codes(2, 1, 4, 5, 6))
    assert refusal(path) == (
        f"{path}: layer_depth 4 does not fit layers of 6 bits (axes lnhwc); {advice}"
    )
    save_codes(path, random_codes(4, 5, 6))
    assert refusal(path) == (
        f"{path}: layer_depth 4 does not fit a depth of 6 bits (axes hwc); {advice}"
    )
    records = tmp_path / "codes.tfrecord"
    save_records(records, [random_codes(4, 5, 6)])
    assert refusal(records).startswith(f"{records}: record 1: layer_depth 4 does not divide")


# --- sequences ---------------------------------------------------------------------------------


def frame_before(file: Codes, codes: Codes) -> Codes:
    """The frame before one [height, width, depth] of a file of different frames; or ABSENT."""
    frames = [np.moveaxis(file[:, i], 0, 2).reshape(codes.shape) for i in range(file.shape[1])]
    (number,) = (i for i, frame in enumerate(frames) if np.array_equal(frame, codes))
    return frames[number - 1] if number else np.full_like(codes, ABSENT)


def test_the_frame_before_is_drawn_with_every_frame() -> None:
    shapes = [(2, 5, 4, 5, 4), (2, 1, 4, 5, 4), (2, 4, 4, 5, 4)]
    files = [random_codes(*shape, seed=i) for i, shape in enumerate(shapes)]
    codes = CodeSet([PackedCodes(file) for file in files], sequence=True)
    before = codes.frames_before
    assert before
    for drawn, others in (
        (codes.in_order(2), before.in_order(2)),
        (
            (codes.batches(3, seed=1).draw(step) for step in range(4)),
            (before.batches(3, seed=1).draw(step) for step in range(4)),
        ),
    ):
        seen = 0
        for batch, batch_before in zip(drawn, others, strict=True):
            for one, other in zip(batch, batch_before, strict=True):
                (file,) = (
                    file
                    for file in files
                    if any(
                        np.array_equal(np.moveaxis(file[:, i], 0, 2).reshape(one.shape), one)
                        for i in range(file.shape[1])
                    )
                )
                assert np.array_equal(other, frame_before(file, one))
                seen += 1
        assert seen == 10
    words: dict[str, Any] = {"batch_bits": 200, "seed": 2, "crop": 3}
    piece, piece_before = (one.batches(3, **words).draw(0) for one in (codes, before))
    assert piece.shape == piece_before.shape
    assert CodeSet(files).frames_before is None


def test_the_last_frames_of_a_sequence_are_kept_for_validation(tmp_path: pathlib.Path) -> None:
    codes = random_codes(2, 8, 4, 5, 4)
    np.save(tmp_path / "frames.npy", codes)
    training, validation = read(tmp_path, axes="lthwc", share=0.25)
    assert training.sequence
    assert validation.sequence
    np.testing.assert_array_equal(training.files[0], codes[:, :6])
    np.testing.assert_array_equal(validation.files[0], codes[:, 6:])
    assert not any(one.sequence for one in read(tmp_path, axes="lnhwc", share=0.25))
    np.save(tmp_path / "picture.npy", random_codes(4, 5, 8))
    assert refusal(tmp_path, axes="lthwc,hwc", unique=False) == (
        f"the pictures of {tmp_path}/frames.npy are frames, those of {tmp_path}/picture.npy are "
        "not; train on each apart, or name axes without t"
    )


def test_nothing_to_validate_with(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "codes.npz"
    save_codes(path, random_codes(2, 1, 4, 5, 4))
    assert refusal(path) == (
        f"{path}: is a single image, and none remains for validation; give more codes, or others "
        "by --validation, or set validation_share to 0 in the training configuration"
    )
    assert read(path, share=0)[0].samples == 1


def test_nothing_to_train_on(folder: pathlib.Path) -> None:
    assert refusal(folder / "codes1.npz", validation=str(folder)) == (
        "all files of `data` are in `validation` too; name more in `data`"
    )


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no archive"])
def test_damaged_files_are_named(folder: pathlib.Path, content: bytes) -> None:
    path = folder / "odd.npz"
    path.write_bytes(content)
    message = refusal(folder)
    assert message.startswith(f"{path}: ")
    assert "TFRecord" not in message


@pytest.mark.parametrize("words", [(0, 1, 0), (1, 0, 0), (1, 1, -1), (1, 1, 2)])
def test_layers_out_of_range(words: tuple[int, int, int]) -> None:
    with pytest.raises(NncodecError, match="must be"):
        layers_of(*words)
