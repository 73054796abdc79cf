"""How code files are read, as the options of a command say. No click is needed here."""

from dataclasses import dataclass
from typing import BinaryIO

from nncodec.files.code_files import CodeFile, read_code_file
from nncodec.files.coverage_arrays import CoverageName


@dataclass(frozen=True)
class Reading:
    """How the options say to read code files.

    Attributes:
        axes, layer_depth, bits, bit_order, array, shape_array, layers, coverage, max_bits: as for
            `read_code_file`.
    """

    axes: str
    layer_depth: int | None
    bits: int | None
    bit_order: str
    array: tuple[str, ...]
    shape_array: tuple[str, ...]
    layers: int | None
    coverage: CoverageName
    max_bits: int

    def read(self, stream: BinaryIO) -> CodeFile:
        """Reads a code file; errors as for `read_code_file`."""
        return read_code_file(stream, **vars(self))
