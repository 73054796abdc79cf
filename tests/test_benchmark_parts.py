"""What the benchmarks count and cut, without running them."""

from pathlib import Path

import numpy as np
import pytest
from click import ClickException

from benchmarks.against import compare
from benchmarks.bench_order import changes, cut, stacked, vectors
from benchmarks.bench_steps import PARTS, without
from benchmarks.fit_start import page
from benchmarks.floor import products
from benchmarks.speeds import Settings
from nncodec.coding.codec import traverse_known
from nncodec.format.extent import Extent
from nncodec.model.adaptive import untrained_weights
from nncodec.model.adaptive.start import untrained
from nncodec.model.adaptive.untrained_weights import START_WEIGHTS
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule, block_size
from tests.sample_networks import random_network
from tests.samples import averaged_codes


def test_a_checkout_that_fails_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nncodec").mkdir()
    (tmp_path / "nncodec" / "__init__.py").touch()
    codes = np.zeros((1, 1, 2, 2, 3), dtype=np.uint8)
    with pytest.raises(ClickException, match="one of the checkouts failed"):
        compare("small", {"1 x 1": codes}, tmp_path, Settings("adaptive", None, 1, 1))
    assert "encode" in capfd.readouterr().err


@pytest.mark.parametrize(("channels", "sequence"), [(8, False), (8, True), (70, True)])
def test_products_are_those_of_the_weights(channels: int, sequence: bool) -> None:
    schedule = Schedule(Extent.of_shape((3, 2, 4, 5, channels)), sequence)
    counted = products(schedule)
    start, block = untrained(3, channels), block_size(channels)
    before = start.units.shape[-1] - 2 * block - 1  # known, surprise, the constant
    most_before = before - block / 3  # the first layer has none before it
    if channels > block:
        most_before -= block / 2  # nor has the first block
    assert counted.before == pytest.approx(2 * most_before)
    assert counted.around == pytest.approx(2 * block * (4 + 8 + 9) / 3)
    assert counted.motion == pytest.approx(2 * block * (1 + 2 + 2) / 3 if sequence else 0)
    assert counted.known == counted.surprise == block - 1
    assert counted.network == 0
    assert products(schedule, random_network(3, channels, seed=0)).network > 0


def test_a_part_that_is_left_out_says_nothing() -> None:
    codes = averaged_codes((3, 1, 6, 7, 5), seed=0)
    learned = traverse_known(codes, Model(without(untrained(3, 5), PARTS))).learned()
    assert not any(learned[name].any() for name in ("shared", "around", "sets"))
    known, rest = np.split(learned["units"], [5], axis=-1)
    assert known.any()
    assert not rest[..., :-1].any()  # the last one is the constant
    assert np.array_equal(learned["mixers"][0, 0], [1, 0, 0, 0, 0, 0])


def test_pictures_are_cut_and_frames_have_changes() -> None:
    codes = np.arange(2 * 2 * 5 * 6, dtype=np.uint8).reshape(2, 2, 5, 6, 1)
    pieces = cut(codes, 2)
    assert pieces.shape == (2, 8, 2, 3, 1)
    assert np.array_equal(pieces[:, 5], codes[:, 1, :2, 3:])
    assert np.array_equal(stacked(pieces)[:, 0, 10:12], pieces[:, 5])
    changed = changes(codes)
    assert np.array_equal(changed[:, 0], codes[:, 0])
    assert np.array_equal(changed[:, 1] ^ codes[:, 0], codes[:, 1])
    drawn = vectors(1000)
    flipped = drawn[..., 1:] != drawn[..., :-1]
    assert flipped.mean() == pytest.approx(0.1, abs=0.01)


def test_the_weights_that_ship_are_a_page_of_the_fit() -> None:
    assert page(START_WEIGHTS) == Path(untrained_weights.__file__).read_text()
