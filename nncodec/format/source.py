"""The source of code tensors: all that, beside their bits, restores the arrays they were made from.

Apart from `files.code_files`, because containers keep a `Source` and know no numpy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nncodec.errors import CodesError
from nncodec.format.axes import CANONICAL, array_shape, check_axes, code_shape
from nncodec.format.limits import MAX_ARRAYS, MAX_EXTRAS_BYTES, MAX_NAME_BYTES

# Containers store the index of these: their order is frozen, new ones go to the end.
FORMATS = ("npy", "npz", "packed", "tensor", "safetensors", "flat")
VALUES = ("binary", "signed", "pair", "msb", "lsb")
DTYPES = (
    *("|b1", "|i1", "|u1"),
    *("<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"),
    *(">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">f2", ">f4", ">f8"),
    "bfloat16",
)

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""The first bytes of a `.npz`, and of one without arrays."""

WITH_SHAPE = ("packed", "flat")
"""The forms of which another array has the shape."""
NPZ_FORMATS = ("npz", *WITH_SHAPE)
"""The forms of the arrays of a `.npz`."""
TOKENS = ("msb", "lsb")
"""The values that are whole numbers, by which of their bits is channel 0."""
COVERAGE = "coverage"
"""The name of an array with a coverage, where nobody says another."""

_SHAPE_NAME = "shape"


def itemsize(dtype: str) -> int:
    """Gives the bytes of a value of one of `DTYPES`."""
    return 2 if dtype == "bfloat16" else int(dtype[2:])


def token_bits(dtype: str) -> int:
    """Gives the bits of the largest whole number of a dtype."""
    return 8 * itemsize(dtype) - (dtype[1] == "i")


def name_fits(name: str) -> bool:
    """Says whether a container can keep an array's name: short, valid UTF-8, without NUL."""
    encoded = name.encode("utf-8", "replace")
    return len(encoded) <= MAX_NAME_BYTES and encoded.decode() == name and "\0" not in name


@dataclass(frozen=True)
class CoverageSource:
    """A description of the array with the coverage of codes.

    Attributes:
        dtype: one of `DTYPES`, of whole numbers or bool.
        axes: which of the axes batch, height and width of the code tensor it has; those of size 1
            may be missing.
        name: the array's name.

    Raises:
        CodesError: no array can be described so.
    """

    dtype: str = "|u1"
    axes: tuple[bool, bool, bool] = (True, True, True)
    name: str = COVERAGE

    def __post_init__(self) -> None:
        named = bool(self.name) and name_fits(self.name)
        if self.dtype not in DTYPES or self.dtype[1] not in "biu" or not named:
            raise CodesError(f"no coverage can be described by {self}")

    def fits(self, sizes: Sequence[int]) -> bool:
        """Whether it has all axes of these sizes, batch, height and width, that are above 1."""
        return all(there or size == 1 for there, size in zip(self.axes, sizes, strict=True))


@dataclass(frozen=True)
class ArraySource:
    """A description of an array, and of its shape's array if it has one, without their bits.

    Attributes:
        format: "npy"; "npz", an array of a `.npz`; "packed", two of them, the second of which is
            the shape of bits that are packed in the first, eight to a byte; "flat", the same with
            one value for each bit; "safetensors", a tensor of such a file; "tensor", an array in
            memory, which becomes a `.npy`.
        axes: the letters of its axes, in their order; of tokens those of the array of their bits,
            where `c` is the last.
        dtype: one of `DTYPES`: of the array, or of the shape if it is packed.
        values: "binary", 0 and 1; "signed", -1 and +1; "pair", any others; "msb" or "lsb", tokens,
            whole numbers whose bits are those of a position, the highest or the lowest first. Of a
            packed array "binary" or "lsb": which bit of a byte comes first.
        name: the array's name in a file that has names; with a shape, empty for `codes`.
        patterns: of a pair, the bytes of both values, little-endian, that of the zeros first.
        shape_name: of the array with the shape; with an empty name, empty for `shape`.
        shape_dtype: of a flat array: the dtype of the shape.
        frames: the size of `t`, where there is `n` too.
        coverage: of an array of a `.npz`: the array of its coverage, if it has one.

    Raises:
        CodesError: the attributes contradict each other.
    """

    format: str = "tensor"
    axes: str = CANONICAL
    dtype: str = "|u1"
    values: str = "binary"
    name: str = ""
    patterns: bytes = b""
    shape_name: str = ""
    shape_dtype: str = ""
    frames: int = 0
    coverage: CoverageSource | None = None

    def __post_init__(self) -> None:
        check_axes(self.axes)
        packed, has_shape = self.format == "packed", self.format in WITH_SHAPE
        if (
            self.format not in FORMATS
            or self.values not in VALUES
            or self.dtype not in DTYPES
            or (packed and (self.values not in ("binary", "lsb") or self.dtype[1] not in "iu"))
            or (self.values == "signed" and self.dtype[1] in "bu" and self.dtype != "bfloat16")
            or (self.is_tokens and (self.dtype[1] not in "iu" or self.axes[-1] != "c"))
            or len(self.patterns) != (2 * itemsize(self.dtype) if self.values == "pair" else 0)
            or (self.name and self.format in ("npy", "tensor"))
            or (self.shape_name and not has_shape)
            or (has_shape and bool(self.name) != bool(self.shape_name))
            or (has_shape and self.name and self.name == self.shape_name)
            or (has_shape and (self.name, self.shape_name) == ("codes", _SHAPE_NAME))
            or (self.format == "flat") != (self.shape_dtype in DTYPES)
            or (self.format == "flat" and self.shape_dtype[1] not in "iu")
            or (self.dtype == "bfloat16" and self.format not in ("safetensors", "tensor"))
            or (self.dtype[0] == ">" and self.format == "safetensors")
            or not name_fits(self.name)
            or not name_fits(self.shape_name)
            or bool(self.frames) != ("n" in self.axes and "t" in self.axes)
            or (self.coverage and self.format not in NPZ_FORMATS)
        ):
            raise CodesError(f"no code file can be described by {self}")

    @property
    def is_tokens(self) -> bool:
        """Whether the array holds whole numbers, each with the bits of a position."""
        return self.values in TOKENS and self.format != "packed"

    @property
    def array_names(self) -> tuple[str, ...]:
        """The names of the arrays: of the codes and, if there is one, of their shape."""
        if self.format not in WITH_SHAPE:
            return (self.name,)
        return (self.name or "codes", self.shape_name or _SHAPE_NAME)

    @property
    def used_names(self) -> tuple[str, ...]:
        """The names of the arrays, and of the coverage if there is one."""
        return (*self.array_names, *((self.coverage.name,) if self.coverage else ()))

    @property
    def array_axes(self) -> str:
        """The axes of the array as it is: the bits of tokens are no axis."""
        return self.axes[:-1] if self.is_tokens else self.axes

    def check_shape(self, shape: Sequence[int]) -> None:
        """Refuses the shape of a code tensor that the array cannot have.

        Args:
            shape: layers, batch, height, width, layer depth.

        Raises:
            CodesError: an axis that it does not have is longer than 1, or its values have fewer
                bits.
        """
        _, batch, _, _, depth = shape
        fits = not self.frames or batch % self.frames == 0
        sizes = array_shape(self.axes, shape, self.frames)
        cut = depth if "l" not in self.axes and "c" in self.axes and not self.is_tokens else None
        fits = fits and code_shape(self.axes, sizes, cut) == tuple(shape)
        if self.is_tokens:
            fits = fits and depth <= token_bits(self.dtype)
        if not fits:
            raise CodesError(
                f"codes of the shape {tuple(shape)} cannot be an array of the axes {self.axes}"
            )
        if self.coverage and not self.coverage.fits(shape[1:4]):
            raise CodesError(
                f"codes of the shape {tuple(shape)} have axes that their coverage lacks"
            )


@dataclass(frozen=True)
class Source:
    """A description of a file: of the arrays that are codes, and what else it holds.

    Attributes:
        arrays: one for each code tensor.
        extras: its other arrays, as one zlib stream (`files.extras`); empty without any.

    Raises:
        CodesError: they cannot be in one file.
    """

    arrays: tuple[ArraySource, ...] = (ArraySource(),)
    extras: bytes = b""

    def __post_init__(self) -> None:
        forms = {array.format for array in self.arrays}
        kind = forms <= set(NPZ_FORMATS) or forms == {"safetensors"}
        names = [name for array in self.arrays for name in array.used_names]
        covered = any(array.coverage for array in self.arrays)
        if (
            not 1 <= len(self.arrays) <= MAX_ARRAYS
            or not (kind or (len(self.arrays) == 1 and not self.extras))
            or len(self.extras) > MAX_EXTRAS_BYTES
            or len(set(names)) < len(names)
            or (covered and len(self.arrays) > 1)
        ):
            raise CodesError("no code file can hold these arrays")

    @property
    def first(self) -> ArraySource:
        """The only array, or the first."""
        return self.arrays[0]

    @property
    def suffix(self) -> str:
        """What the name of such a file ends with."""
        if self.first.format == "safetensors":
            return ".safetensors"
        return ".npz" if self.first.format in NPZ_FORMATS else ".npy"
