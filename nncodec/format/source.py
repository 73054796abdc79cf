"""The source of a code tensor: all that, beside its bits, restores the array it was made from.

Apart from `files.code_files`, because containers keep a `Source` and know no numpy.
"""

from dataclasses import dataclass

from nncodec.errors import BitstreamError, CodesError, UnsupportedError
from nncodec.format.fields import DAMAGED, NEWER, Fields, varint
from nncodec.format.limits import MAX_NAME_BYTES

# Containers store the index of these: their order is frozen, new ones go to the end.
FORMATS = ("npy", "npz", "packed", "tensor")
LAYOUTS = ("nhwc", "nchw")
DTYPES = (
    *("|b1", "|i1", "|u1"),
    *("<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"),
    *(">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8"),
)

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of a `.npz`, and of one without arrays."""

_NAMES = ("", "codes", "arr_0")
_OTHER_NAME = len(_NAMES)


@dataclass(frozen=True)
class Source:
    """A description of the arrays behind a code tensor, without their values and sizes.

    Attributes:
        format: "npy", "npz" (one unpacked array), "packed" (`.npz` of `codes` and `shape`), or
            "tensor" for an array given to the API, which becomes a canonical `.npy`.
        layout: "nhwc" or "nchw".
        axes: 3, 4 or 5.
        dtype: one of `DTYPES`: of the unpacked array, or of `shape` when packed.
        signed: whether the array holds {-1, +1} rather than {0, 1}.
        name: the array's name in an "npz", else empty.

    Raises:
        CodesError: the attributes contradict each other.
    """

    format: str = "tensor"
    layout: str = "nhwc"
    axes: int = 5
    dtype: str = "|u1"
    signed: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        canonical = (self.layout, self.axes, self.dtype) == ("nhwc", 5, "|u1")
        if (
            self.format not in FORMATS
            or self.layout not in LAYOUTS
            or self.axes not in (3, 4, 5)
            or self.dtype not in DTYPES
            or (self.format == "packed" and self.dtype[1] not in "iu")
            or (self.format == "tensor" and not canonical)
            or (self.signed and (self.format == "packed" or self.dtype[1] not in "if"))
            or (self.name and self.format != "npz")
            or not name_fits(self.name)
        ):
            raise CodesError(f"no code file can be described by {self}")


def name_fits(name: str) -> bool:
    """Says whether a container can keep an array's name: short, valid UTF-8, without NUL."""
    encoded = name.encode("utf-8", "replace")
    return len(encoded) <= MAX_NAME_BYTES and encoded.decode() == name and "\0" not in name


def pack_source(source: Source) -> bytes:
    """Packs a source into its field of a container (FORMAT.md, section 4)."""
    form = FORMATS.index(source.format) | LAYOUTS.index(source.layout) << 2
    first = form | (source.axes - 3) << 3 | source.signed << 5
    name = _NAMES.index(source.name) if source.name in _NAMES else _OTHER_NAME
    packed = bytes([first, DTYPES.index(source.dtype) | name << 5])
    if name != _OTHER_NAME:
        return packed
    text = source.name.encode()
    return packed + varint(len(text)) + text


def unpack_source(fields: Fields) -> Source:
    """Undoes `pack_source` (FORMAT.md, section 4).

    Raises:
        BitstreamError: the field is not what `pack_source` gives.
        UnsupportedError: it uses what version 1 reserves.
        CodesError: no code file can be like that.
    """
    first, second = fields.take(2)
    axes, dtype, name_code = 3 + (first >> 3 & 3), second & 31, second >> 5
    if first >> 6 or axes > 5 or dtype >= len(DTYPES) or name_code > _OTHER_NAME:
        raise UnsupportedError(
            f"the file has the unknown source {first:#04x} {second:#04x}; {NEWER}"
        )
    name = fields.text(MAX_NAME_BYTES) if name_code == _OTHER_NAME else _NAMES[name_code]
    if name_code == _OTHER_NAME and name in _NAMES:
        raise BitstreamError(f"the name {name!r} is not in its shortest form; {DAMAGED}")
    layout, signed = LAYOUTS[first >> 2 & 1], bool(first >> 5)
    return Source(FORMATS[first & 3], layout, axes, DTYPES[dtype], signed, name)
