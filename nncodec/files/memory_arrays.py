"""Arrays in memory: of numpy, of what turns into one, and PyTorch's tensors.

A tensor is known by its class, and PyTorch is loaded already where there is one. It is imported
where a tensor is asked for, since a worker of a data loader may not have loaded it.
"""

import sys
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from nncodec.errors import CodesError
from nncodec.files.values import BFLOAT16

Array = npt.NDArray[Any]


def as_array(codes: Any) -> tuple[Array, str]:
    """Gives an array, and its dtype as `format.source` writes it.

    Args:
        codes: a numpy array, or what numpy makes one of; a PyTorch tensor on any device, with or
            without gradient.

    Returns:
        The array, of bfloat16 the uint16 of its bytes, and its dtype.

    Raises:
        CodesError: it is none of these.
    """
    remedy = "give a numpy array or a PyTorch tensor"
    if isinstance(codes, (str, bytes, dict, set)) or codes is None:
        raise CodesError(f"codes are of type {type(codes).__name__}; {remedy}")
    if isinstance(codes, np.ma.MaskedArray) and np.ma.is_masked(codes):
        raise CodesError("codes are masked in part; fill them, as by codes.filled(0)")
    try:
        if type(codes).__module__.split(".")[0] == "torch" and hasattr(codes, "detach"):
            return _of_tensor(codes)
        array = np.asarray(codes)
    except Exception as error:  # whatever a foreign class raises when it is asked for its values
        reason = " ".join(str(error).split())[:120]
        raise CodesError(
            f"codes of type {type(codes).__name__} cannot be made an array ({reason}); {remedy}"
        ) from error
    if array.dtype.name == BFLOAT16:  # of the package ml_dtypes, as jax has it
        return array.view("<u2"), BFLOAT16
    if array.dtype.hasobject:
        raise CodesError(f"codes of type {type(codes).__name__} are an array of objects; {remedy}")
    return array, array.dtype.str


def as_coverage(coverage: Any) -> Array | None:
    """Gives the array of a coverage; None of None.

    Args:
        coverage: as for `as_array`.

    Raises:
        CodesError: it is none of these.
    """
    if coverage is None:
        return None
    try:
        array, dtype = as_array(coverage)
    except CodesError as error:
        line = "the coverage cannot be made an array; give whole numbers"
        raise CodesError(line) from error.__cause__
    if dtype == BFLOAT16:  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _of_tensor(tensor: Any) -> tuple[Array, str]:
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        return tensor.view(sys.modules["torch"].int16).numpy().view("<u2"), BFLOAT16
    array = cast(Array, tensor.numpy())
    return array, array.dtype.str


def tensor_of_array(array: Array, dtype: str) -> Any:
    """Gives the PyTorch tensor of an array.

    Args:
        array: as `as_array` gives it.
        dtype: likewise.

    Raises:
        CodesError: PyTorch is not installed, or has no such dtype.
    """
    try:
        import torch  # not for those who want no tensors
    except ImportError as error:
        raise CodesError("like='torch' needs PyTorch; install torch") from error
    if dtype == BFLOAT16:
        return torch.from_numpy(array.view("<i2").copy()).view(torch.bfloat16)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    try:
        return torch.from_numpy(native)
    except TypeError as error:
        raise CodesError(f"PyTorch has no dtype {dtype}; decode with like='array'") from error
