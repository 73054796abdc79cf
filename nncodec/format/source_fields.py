"""The source of code tensors <-> its field of a container (FORMAT.md, section 4)."""

from math import factorial

from nncodec.errors import BitstreamError, UnsupportedError
from nncodec.format.axes import COMMON_AXES, LETTERS, of_rank, rank_of
from nncodec.format.fields import DAMAGED, NEWER, Fields, varint
from nncodec.format.limits import MAX_ARRAYS, MAX_NAME_BYTES
from nncodec.format.source import (
    COVERAGE,
    DTYPES,
    FORMATS,
    VALUES,
    WITH_SHAPE,
    ArraySource,
    CoverageSource,
    Source,
    itemsize,
)

_SEVERAL = 7  # in place of a form
_COVERED = 6  # likewise, before the record of an array with a coverage
_OTHER_AXES = len(COMMON_AXES)
_NAMES = ("", "codes", "arr_0")
_OTHER_NAME = len(_NAMES)
_OTHER_ORDER = 1 << len(LETTERS)


def pack_source(source: Source) -> bytes:
    """Packs a source into its field of a container (FORMAT.md, section 4)."""
    records = [_pack_array(array) for array in source.arrays]
    if len(records) == 1 and not source.extras:
        return records[0]
    counts = bytes([_SEVERAL]) + varint(len(records))
    return counts + b"".join(records) + varint(len(source.extras)) + source.extras


def _pack_array(source: ArraySource) -> bytes:
    common = source.axes in COMMON_AXES
    axes = COMMON_AXES.index(source.axes) if common else _OTHER_AXES
    name = _NAMES.index(source.name) if source.name in _NAMES else _OTHER_NAME
    if source.shape_name:
        name = _OTHER_NAME
    packed = bytearray([FORMATS.index(source.format) | axes << 3 | name << 6])
    packed.append(DTYPES.index(source.dtype) | VALUES.index(source.values) << 5)
    if not common:
        rank = rank_of(source.axes)
        letters = sum(1 << LETTERS.index(letter) for letter in source.axes)
        packed += bytes([letters | _OTHER_ORDER]) + varint(rank) if rank else bytes([letters])
    if source.frames:
        packed += varint(source.frames)
    packed += source.patterns
    if source.format == "flat":
        packed.append(DTYPES.index(source.shape_dtype))
    if name == _OTHER_NAME:
        for text in source.array_names:
            packed += varint(len(text.encode())) + text.encode()
    return _pack_coverage(source.coverage) + bytes(packed)


def _pack_coverage(coverage: CoverageSource | None) -> bytes:
    if coverage is None:
        return b""
    axes = sum(there << axis for axis, there in enumerate(coverage.axes))
    name = b"" if coverage.name == COVERAGE else coverage.name.encode()
    packed = bytes([_COVERED, DTYPES.index(coverage.dtype) | axes << 5])
    return packed + varint(len(name)) + name


def unpack_source(fields: Fields) -> Source:
    """Undoes `pack_source` (FORMAT.md, section 4).

    Raises:
        BitstreamError: the field is not what `pack_source` gives.
        UnsupportedError: it uses what version 1 reserves.
        CodesError: no code file can be like that.
    """
    first = fields.take(1)[0]
    if first & 7 != _SEVERAL:
        return Source((_unpack_array(first, fields),))
    count = fields.varint()
    if first != _SEVERAL or not 1 <= count <= MAX_ARRAYS:
        raise UnsupportedError(f"the file has the unknown source {first:#04x}; {NEWER}")
    arrays = tuple(_unpack_array(fields.take(1)[0], fields) for _ in range(count))
    size = fields.varint()
    if count == 1 and not size:
        raise BitstreamError(f"a source is not in its shortest form; {DAMAGED}")
    return Source(arrays, fields.take(size))


def _unpack_array(first: int, fields: Fields) -> ArraySource:
    coverage = None
    if first == _COVERED:
        coverage, first = _unpack_coverage(fields), fields.take(1)[0]
    second = fields.take(1)[0]
    form, axes_code, name_code = first & 7, first >> 3 & 7, first >> 6
    dtype, values = second & 31, second >> 5
    if form >= len(FORMATS) or dtype >= len(DTYPES) or values >= len(VALUES):
        raise UnsupportedError(
            f"the file has the unknown source {first:#04x} {second:#04x}; {NEWER}"
        )
    axes = COMMON_AXES[axes_code] if axes_code < _OTHER_AXES else _unpack_axes(fields)
    frames = fields.varint() if "n" in axes and "t" in axes else 0
    of_pair = VALUES[values] == "pair"
    patterns = fields.take(2 * itemsize(DTYPES[dtype])) if of_pair else b""
    shape_dtype = _unpack_dtype(fields) if FORMATS[form] == "flat" else ""
    name = shape_name = ""
    if name_code < _OTHER_NAME:
        name = _NAMES[name_code]
    else:
        name = fields.text(MAX_NAME_BYTES)
        if FORMATS[form] in WITH_SHAPE:
            shape_name = fields.text(MAX_NAME_BYTES)
            if not name:
                raise BitstreamError(f"an array with a shape has no name; {DAMAGED}")
        elif name in _NAMES:
            raise BitstreamError(f"the name {name!r} is not in its shortest form; {DAMAGED}")
    return ArraySource(
        format=FORMATS[form],
        axes=axes,
        dtype=DTYPES[dtype],
        values=VALUES[values],
        name=name,
        patterns=patterns,
        shape_name=shape_name,
        shape_dtype=shape_dtype,
        frames=frames,
        coverage=coverage,
    )


def _unpack_coverage(fields: Fields) -> CoverageSource:
    form = fields.take(1)[0]
    if form & 31 >= len(DTYPES):
        raise UnsupportedError(f"the file has the unknown coverage {form:#04x}; {NEWER}")
    name = fields.text(MAX_NAME_BYTES)
    if name == COVERAGE:
        raise BitstreamError(f"the name {name!r} is not in its shortest form; {DAMAGED}")
    axes = (bool(form >> 5 & 1), bool(form >> 6 & 1), bool(form >> 7))
    return CoverageSource(DTYPES[form & 31], axes, name or COVERAGE)


def _unpack_dtype(fields: Fields) -> str:
    index = fields.take(1)[0]
    if index >= len(DTYPES):
        raise UnsupportedError(f"the file has the unknown dtype {index}; {NEWER}")
    return DTYPES[index]


def _unpack_axes(fields: Fields) -> str:
    code = fields.take(1)[0]
    letters = "".join(letter for bit, letter in enumerate(LETTERS) if code >> bit & 1)
    if code >= 2 * _OTHER_ORDER or not letters:
        raise UnsupportedError(f"the file has the unknown axes {code:#04x}; {NEWER}")
    axes = letters
    if code & _OTHER_ORDER:
        rank = fields.varint()
        axes = of_rank(letters, rank) if 0 < rank < factorial(len(letters)) else ""
    if not axes or axes in COMMON_AXES:
        raise BitstreamError(f"axes are not in their shortest form; {DAMAGED}")
    return axes
