"""Codes in whatever takes codecs of numcodecs: zarr 2 among it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncodec
from tests.samples import averaged_codes

numcodecs = pytest.importorskip("numcodecs")

from nncodec.numcodecs import Codes  # noqa: E402

CODES = averaged_codes((4, 3, 9, 10, 8), 3)


@given(data=st.data())
def test_round_trip(data: st.DataObject) -> None:
    axes = data.draw(st.sampled_from(["nlhwc", "chw", "nc", "lnhwc"]))
    shape = tuple(data.draw(st.integers(1, 6)) for _ in axes)
    codes = np.random.default_rng(data.draw(st.integers(0, 9))).random(shape) < 0.3
    array = np.where(codes, *data.draw(st.sampled_from([(1, 0), (1.0, -1.0), (255, 0)])))
    codec = Codes(axes=axes, model="adaptive")
    encoded = codec.encode(array)
    decoded = codec.decode(encoded)
    assert decoded.dtype == array.dtype
    np.testing.assert_array_equal(decoded, array)
    assert encoded == nncodec.encode(array, "adaptive", axes=axes)
    for form in (bytearray, memoryview, lambda data: np.frombuffer(data, dtype="u1")):
        np.testing.assert_array_equal(codec.decode(form(encoded)), array)
    out = np.empty_like(array)
    codec.decode(encoded, out=out)
    np.testing.assert_array_equal(out, array)


def test_configuration_is_json() -> None:
    codec = Codes(axes="nhw", bits=18, bit_order="lsb", model="adaptive")
    config = json.loads(json.dumps(codec.get_config()))
    again = numcodecs.get_codec(config)
    assert again == codec
    assert (
        again.get_config()
        == config
        == {
            **{"id": "nncodec.codes", "axes": "nhw", "model": "adaptive"},
            **{"bits": 18, "bit_order": "lsb"},
        }
    )
    assert eval(repr(codec)) == codec
    with pytest.raises(TypeError, match="colour"):
        Codes(colour=1)


def test_zarr_2(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    options: dict[str, Any] = {"shape": CODES.shape, "chunks": (1, *CODES.shape[1:])}
    codec = Codes(axes="nlhwc", model="adaptive")
    array = zarr.create_array(
        tmp_path, zarr_format=2, dtype="uint8", compressors=codec, filters=None, **options
    )
    array[...] = CODES
    array = zarr.open_array(tmp_path, mode="r")
    np.testing.assert_array_equal(array[1:, :2], CODES[1:, :2])
    data = (tmp_path / "2.0.0.0.0").read_bytes()
    assert data == nncodec.encode(CODES[2:3], "adaptive", axes="nlhwc")
    (tmp_path / "2.0.0.0.0").write_bytes(data[:-1])
    with pytest.raises(nncodec.TruncatedError, match="the file ends early, "):
        array[2]
    np.testing.assert_array_equal(array[3], CODES[3])


def test_arrays_of_other_axes() -> None:
    with pytest.raises(nncodec.CodesError, match="axes"):
        Codes(axes="chw").encode(CODES)
