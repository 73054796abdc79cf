"""Arguments of a wrong type, as users give them: one line says what to give instead."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import nncodec as typed

nncodec: Any = typed  # what is wrong here, its types refuse
CODES = np.zeros((2, 1, 4, 4, 8), dtype=np.uint8)
DATA = nncodec.encode(CODES, "adaptive")
TOKENS = np.zeros((1, 4, 4), dtype=np.uint8)
NUMBER = "give a whole number, as in 4"


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: nncodec.encode(TOKENS, axes="nhw", bits="3"), f"bits is of type str; {NUMBER}"),
        (lambda: nncodec.encode(TOKENS, axes="nhw", bits=2.0), f"bits is of type float; {NUMBER}"),
        (lambda: nncodec.encode(CODES, layer_depth="4"), f"layer_depth is of type str; {NUMBER}"),
        (lambda: nncodec.encode(CODES, layer_depth=1.5), f"layer_depth is of type float; {NUMBER}"),
        (lambda: nncodec.encode(CODES, threads="2"), f"threads is of type str; {NUMBER}"),
        (lambda: nncodec.encode(CODES, 3), "a int is no model; give its name, its path, or what"),
        (lambda: nncodec.encode(CODES, None), "a NoneType is no model; give its name, its path, "),
        (lambda: nncodec.decode(DATA, layers="1"), f"layers is of type str; {NUMBER}"),
        (lambda: nncodec.decode(DATA, layers=1.5), f"layers is of type float; {NUMBER}"),
        (lambda: nncodec.decode(DATA, model=3), "a int is no model; give its name, its path, or "),
        (lambda: nncodec.load_model(3), "a int is no model; give its name or its path"),
        (lambda: nncodec.load_model(None), "a NoneType is no model; give its name or its path"),
        (lambda: nncodec.open(DATA, model=3), "a int is no model; give its name, its path, or "),
        (lambda: nncodec.open(DATA).decode("1"), f"layers is of type str; {NUMBER}"),
        (lambda: nncodec.decode_many(DATA, only=1), "only is of type int; give a list"),
        (
            lambda: nncodec.decode_many(DATA, only=[0.0]),
            f"a number of only is of type float; {NUMBER}",
        ),
        (
            lambda: nncodec.decode_many(DATA, only=[7, "a"]),
            f"a number of only is of type str; {NUMBER}",
        ),
        (lambda: nncodec.decode_many(DATA, model=3), "a int is no model; give its name, its path"),
        (lambda: nncodec.encode_many(None), "arrays are of type NoneType; give a list"),
        (
            lambda: nncodec.encode_many([CODES], coverages=3),
            "coverages are of type int; give a list",
        ),
        (lambda: nncodec.encode_many([CODES], group="1"), f"group is of type str; {NUMBER}"),
    ],
)
def test_arguments_of_a_wrong_type(call: Callable[[], Any], line: str) -> None:
    with pytest.raises(nncodec.NncodecError) as raised:
        call()
    assert str(raised.value).startswith(line)
    assert "\n" not in str(raised.value)


def test_whole_numbers_of_numpy_are_taken() -> None:
    data = nncodec.encode_many([CODES, CODES], "adaptive", group=np.int64(1), threads=np.int8(1))
    (again,) = nncodec.decode_many(data, only=np.array([1]), layers=np.uint8(1))
    np.testing.assert_array_equal(again, CODES[:1])
