"""Which arrays of a file are codes, and what it holds beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nncodec.errors import CodesError
from nncodec.files.array_files import Form, Npz, list_names, read_form, read_npy
from nncodec.files.axis_orders import Reading
from nncodec.files.code_arrays import CodeArray, check_array, take_array, take_bits, within
from nncodec.files.coverage_arrays import (
    CoverageName,
    check_named,
    find_coverage,
    fitting_axes,
    take_coverage,
)
from nncodec.files.diagnosis import diagnose, is_mangled, mangled_line
from nncodec.files.extras import pack_extras
from nncodec.files.tensor_files import DTYPES as TENSOR_DTYPES
from nncodec.files.tensor_files import TensorFile, is_tensor_file, read_tensors
from nncodec.format.code_tensor import check_packed, check_sizes, unpack_bits
from nncodec.format.limits import MAX_ARRAYS, MAX_EXTRAS_UNPACKED, MAX_NAME_BYTES
from nncodec.format.source import NPY_MAGIC, ZIP_MAGICS, ArraySource, name_fits


@dataclass(frozen=True)
class Taking:
    """What to take of a file.

    Attributes:
        reading: how to read the arrays.
        names: of the arrays that are codes; none to find out.
        shape_names: of the arrays with their shapes, one for each; none if they have none, or to
            find out.
        max_bits: the most code bits.
        coverage: the name of the array with the coverage; None to find out, False if there is none.
    """

    reading: Reading
    names: tuple[str, ...]
    shape_names: tuple[str, ...]
    max_bits: int
    coverage: CoverageName = None


def take_codes(data: bytes, taking: Taking) -> tuple[list[CodeArray], bytes]:
    """Takes the codes of a code file, and packs what else is in it.

    Args:
        data: the whole file.
        taking: what to take.

    Returns:
        Code arrays, and the extras of their `Source`.

    Raises:
        CodesError: the file is damaged, or cannot be taken as codes.
    """
    if data.startswith(ZIP_MAGICS):
        return _of_npz(Npz(data), taking)
    check_named(False, taking.coverage)
    npy, tensors = data.startswith(NPY_MAGIC), is_tensor_file(data)
    if tensors:
        return _of_tensors(data, taking)
    if not npy:
        raise CodesError(diagnose(data))
    if taking.names or taking.shape_names:
        raise CodesError("a .npy has one array, without a name; leave --array out")
    try:
        form = read_form(data, len(data), "the array")
    except CodesError as error:
        if is_mangled(data):
            raise CodesError(mangled_line("the .npy")) from error
        raise
    _check(form, taking, "the array")
    array = read_npy(data, form)
    taken = take_array(array, array.dtype.str, taking.reading, "the array", ArraySource("npy"))
    return [taken], b""


def _check(form: Form, taking: Taking, what: str) -> None:
    dtype = form.dtype.str if form.dtype else None
    check_array(form.shape, dtype, taking.reading, what, taking.max_bits)


# --- a .npz ------------------------------------------------------------------------------------


def _of_npz(file: Npz, taking: Taking) -> tuple[list[CodeArray], bytes]:
    named = (*taking.names, *taking.shape_names)
    coverage = find_coverage(file.forms, taking.coverage, named)
    forms = {name: form for name, form in file.forms.items() if name != coverage}
    pairs = _pairs(forms, taking)
    if pairs:
        found = within((_named(file, *pair, taking) for pair in pairs), taking.max_bits)
    else:
        found = _possible(forms, taking, file)
    if coverage:
        axes = fitting_axes(file.forms[coverage].shape, found, taking.reading)
        if axes:
            return _of_npz(file, replace(taking, reading=replace(taking.reading, axes=axes)))
        _check_name(coverage)
        try:
            found = take_coverage(file, coverage, found)
        except CodesError as error:
            if taking.coverage:
                raise
            raise CodesError(f"{error}; if it is none, give --no-coverage") from error.__cause__
    used = {name for one in found for name in one.source.used_names}
    others: dict[str, bytes] = {}
    left = MAX_EXTRAS_UNPACKED
    for name, form in file.forms.items():
        if name in used:
            continue
        if form.dtype is None:
            raise CodesError(
                f"array {name!r} holds Python objects, which are never unpickled; leave it out"
            )
        left -= file.size(name)
        if left < 0:
            raise CodesError(
                f"the arrays beside the codes are above the limit of {MAX_EXTRAS_UNPACKED} bytes; "
                "keep them in another file"
            )
        others[name] = file.member(name)
    return found, pack_extras(others)


def _pairs(forms: Mapping[str, Form], taking: Taking) -> list[tuple[str, str]]:
    """Lists the arrays that are asked for, or `codes` and `shape`, each with that of its shape."""
    names = list(forms)
    _require_names(names, (*taking.names, *taking.shape_names), "the .npz")
    if taking.shape_names and len(taking.shape_names) != max(1, len(taking.names)):
        raise CodesError("--shape-array is needed once for each --array; give as many")
    if taking.shape_names:
        return list(zip(taking.names or ("codes",), taking.shape_names, strict=True))
    if taking.names:
        name, *others = taking.names
        flat = len(forms[name].shape) == 1 != len(taking.reading.axes)
        if flat and not others and name != "shape" and "shape" in names:
            return [(name, "shape")]
        return [(name, "") for name in taking.names]
    if "codes" not in names:
        return []
    return [("codes", "shape" if "shape" in names else "")]


def _named(file: Npz, name: str, shape_name: str, taking: Taking) -> CodeArray:
    _check_name(name)
    return _with_shape(file, name, shape_name, taking) if shape_name else _plain(file, name, taking)


def _plain(file: Npz, name: str, taking: Taking) -> CodeArray:
    what = f"array {name!r}"
    _check(file.forms[name], taking, what)
    array = file.array(name)
    form = ArraySource("npz", name=name)
    return take_array(array, array.dtype.str, taking.reading, what, form)


def _with_shape(file: Npz, name: str, shape_name: str, taking: Taking) -> CodeArray:
    """Takes codes with a shape: packed, flat, or of that very shape, which is then an extra."""
    form, max_bits = file.forms[name], taking.max_bits
    what = f"array {name!r}"
    if form.dtype is not None and len(form.shape) > 1:
        return _plain(file, name, taking)
    sizes, shape_dtype = _sizes(file, shape_name)
    if form.dtype is None:
        raise CodesError(f"{what} holds Python objects, which are never unpickled; save uint8")
    default = (name, shape_name) == ("codes", "shape")
    names = ("", "") if default else (name, shape_name)
    flat = form.shape == (int(np.prod(sizes, dtype=object)),)
    if form.shape == (1,) and form.dtype == np.uint8:  # as of one bit, packed or not
        flat = flat and bool(taking.reading.bits)
    if taking.reading.bits and not flat:
        raise CodesError(f"packed {what} holds bits, no tokens; leave --bits out")
    check_array(sizes, "|u1", taking.reading, f"{what} of the shape", max_bits)
    if flat:
        array = file.array(name).reshape(sizes)
        plain = ArraySource("flat", name=names[0], shape_name=names[1], shape_dtype=shape_dtype)
        return take_array(array, array.dtype.str, taking.reading, what, plain)
    if form.dtype != np.uint8:
        raise CodesError(f"packed {what} has dtype {form.dtype.name}; pack bits into uint8")
    check_packed(form.shape[0] if form.shape else 1, sizes)  # before memory is taken for it
    little = taking.reading.bit_order == "lsb"
    packed = file.array(name)
    bits = unpack_bits(packed, sizes, max_bits, little=little)
    values = "lsb" if little else "binary"
    source = ArraySource(
        "packed", dtype=shape_dtype, values=values, name=names[0], shape_name=names[1]
    )
    return take_bits(bits, taking.reading, what, source)


def _sizes(file: Npz, name: str) -> tuple[tuple[int, ...], str]:
    """Reads an array that has a shape; gives its dtype too."""
    form, what = file.forms[name], f"the shape, array {name!r},"
    if form.dtype is None:
        raise CodesError(
            f"{what} holds Python objects, which are never unpickled; save it as "
            "numpy.array(codes.shape)"
        )
    if form.dtype.kind not in "iu" or len(form.shape) != 1 or not 1 <= form.shape[0] <= 6:
        raise CodesError(
            f"{what} has dtype {form.dtype.name} and the shape {form.shape}; it must hold 1 to 6 "
            "integers"
        )
    sizes = tuple(file.array(name).tolist())
    return check_sizes(sizes, f"the shape in array {name!r},", None), form.dtype.str


def _possible(forms: Mapping[str, Form], taking: Taking, file: Npz) -> list[CodeArray]:
    """Takes every array that can be codes; where there is only one array, it says why it cannot."""
    if not forms:
        raise CodesError("the .npz holds no arrays; save codes in it, with numpy.savez")
    if len(forms) == 1:
        (name,) = forms
        _check_name(name)
        return [_plain(file, name, taking)]
    tried = (_plain_or_none(file, name, taking) for name in forms)
    return _some(within(tried, taking.max_bits), list(forms), "the .npz")


def _plain_or_none(file: Npz, name: str, taking: Taking) -> CodeArray | None:
    try:
        _check(file.forms[name], taking, name)
        _check_name(name)
        return _plain(file, name, taking)
    except CodesError:
        return None


# --- a .safetensors ----------------------------------------------------------------------------


def _of_tensors(data: bytes, taking: Taking) -> tuple[list[CodeArray], bytes]:
    if taking.shape_names:
        raise CodesError("the shape of a tensor is its own; leave --shape-array out")
    file = read_tensors(data)
    names = sorted(file.tensors)
    _require_names(names, taking.names, "the .safetensors")
    if not names:
        raise CodesError("the .safetensors holds no tensors; save codes in it")
    asked = taking.names or (("codes",) if "codes" in names else ())
    asked = asked or (tuple(names) if len(names) == 1 else ())
    if asked:
        found = within((_tensor(file, name, taking) for name in asked), taking.max_bits)
    else:
        tried = (_tensor_or_none(file, name, taking) for name in names)
        found = _some(within(tried, taking.max_bits), names, "the .safetensors")
    rest = file.without({one.source.name for one in found})
    return found, pack_extras({"": rest} if rest else {})


def _tensor(file: TensorFile, name: str, taking: Taking) -> CodeArray:
    _check_name(name)
    what, entry = f"tensor {name!r}", file.tensors[name]
    dtype = TENSOR_DTYPES.get(entry["dtype"], entry["dtype"])
    check_array(tuple(entry["shape"]), dtype, taking.reading, what, taking.max_bits)
    array, dtype = file.array(name)
    return take_array(array, dtype, taking.reading, what, ArraySource("safetensors", name=name))


def _tensor_or_none(file: TensorFile, name: str, taking: Taking) -> CodeArray | None:
    try:
        return _tensor(file, name, taking)
    except CodesError:
        return None


# --- both --------------------------------------------------------------------------------------


def _some(found: list[CodeArray], names: list[str], where: str) -> list[CodeArray]:
    if not found:
        raise CodesError(
            f"{where} holds {list_names(names)}, none of which can be codes; name one by --array "
            "to hear why"
        )
    if len(found) > MAX_ARRAYS:
        raise CodesError(f"{where} holds {len(found)} code arrays, above {MAX_ARRAYS}; split it")
    return found


def _require_names(names: list[str], asked: tuple[str, ...], where: str) -> None:
    for name in asked:
        if name not in names:
            raise CodesError(
                f"{where} has no array {name!r}, but {list_names(names) or 'none'}; name one of "
                "these"
            )


def _check_name(name: str) -> None:
    if not name_fits(name):
        raise CodesError(f"an array's name is above {MAX_NAME_BYTES} bytes; give it a shorter")
