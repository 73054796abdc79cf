"""Many code files in one container: `compress --solid`.

Nothing is printed here, and click is not imported, as in one_file.py.
"""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nncodec.coding.codec import Encoded
from nncodec.coding.many import decode_members, encode_members
from nncodec.coding.threads import Threads
from nncodec.commands.member_reports import member_facts, solid_line
from nncodec.commands.one_file import Compression, FileReport, Watch
from nncodec.commands.reading import Reading
from nncodec.commands.reports import container_facts, counted, size_table
from nncodec.errors import BitstreamError, CodesError, NncodecError
from nncodec.files.axis_orders import AUTO
from nncodec.files.code_files import CodeFile
from nncodec.files.model_choice import model_to_decode
from nncodec.files.model_files import name_of_model
from nncodec.files.streams import (
    STANDARD_STREAM,
    check_output,
    file_label,
    naming,
    open_input,
    open_output,
    output_label,
)
from nncodec.format.code_tensor import Codes
from nncodec.format.container import ContainerReader
from nncodec.format.extent import Extent
from nncodec.format.limits import check_limits
from nncodec.format.members import Member, member_name_fits


@dataclass(frozen=True)
class CodeFiles(Sequence[Codes]):
    """The first codes of files, each read when it is asked for.

    Attributes:
        reading: how to read them.
        inputs: their paths.
        otherwise: how to read those that cannot be read so.
    """

    reading: Reading
    inputs: Sequence[str]
    otherwise: Reading

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, number: int) -> Codes:  # type: ignore[override]
        return self.read(number).marked_pictures[0]

    def read(self, number: int) -> CodeFile:
        """Reads a file; errors begin with its name."""
        name = self.inputs[number]
        if self.otherwise != self.reading:
            with contextlib.suppress(NncodecError), open_input(name) as (stream, _):
                return self.reading.read(stream)
        with open_input(name) as (stream, _):
            return self.otherwise.read(stream)


def compress_solid(
    compression: Compression, inputs: Sequence[str], output: str, watch: Watch
) -> FileReport:
    """Compresses code files into one container.

    Args:
        compression: what the options say.
        inputs: paths of files.
        output: a path, or `STANDARD_STREAM`.
        watch: is entered meanwhile.

    Raises:
        NncodecError: of one line that begins with the name of a file.
    """
    names = member_names(inputs)
    for input_ in inputs:
        check_output(output, force=compression.force, source=input_)
    # What the axes are is found out once: small files are easily taken for others.
    reading = compression.reading
    middle = CodeFiles(reading, inputs, reading).read(len(inputs) // 2)
    files = CodeFiles(_as(reading, middle), inputs, reading)
    threads = compression.threads
    chosen = compression.choose(files, middle.sequence)
    coding = chosen.coding(compression.embed_model, compression.group)

    def members() -> Iterator[tuple[Member, Sequence[Codes]]]:
        for number, name in enumerate(names):
            file = files.read(number)
            with naming(file_label(inputs[number])):
                for codes, source in zip(file.pictures, file.source.arrays, strict=True):
                    label = file_label(inputs[len(inputs) // 2])
                    _check_like(codes, middle.pictures[0], label, source.array_axes)
            counts = tuple(codes.shape[1] for codes in file.pictures)
            yield Member(counts, file.source, name), file.marked_pictures

    label, bits = output_label(output), sum(one.size for one in middle.pictures) * len(inputs)
    with watch.coding(label, 2 * bits if compression.verify else bits) as progress:
        encoded = encode_members(members(), coding, Threads(threads, progress))
        if compression.verify:
            _verify(encoded, files, Threads(threads, progress))
    with watch.writing(), open_output(output, force=compression.force) as target:
        target.write(encoded.data)
    header, model_name = encoded.header, name_of_model(encoded.header.model_id)
    facts = container_facts(header, model_name, encoded.layers) | member_facts(header)
    line = solid_line(label, header, len(encoded.data), model_name)
    notes = tuple(f"{file_label(inputs[len(inputs) // 2])}: {note}" for note in middle.notes)
    return FileReport(facts, line, size_table(encoded), chosen.warnings, notes)


def _check_like(codes: Codes, others: Codes, label: str, axes: str) -> None:
    """Refuses codes that cannot be in a container with others, or in any."""
    check_limits(Extent.of_shape(codes[:, :1].shape))
    sizes, expected = ((len(one), one.shape[4]) for one in (codes, others))
    if sizes != expected:
        raise CodesError(
            f"read as {axes}, has {counted(sizes[0], 'layer')} of {sizes[1]} bits, {label} "
            f"{expected[0]} of {expected[1]}; put it into another container"
        )


def _as(reading: Reading, file: CodeFile) -> Reading:
    """How to read files like one that was read."""
    first = file.source.first
    if len(file.pictures) > 1 or reading.axes != AUTO:
        return reading
    bit_order = first.values if first.is_tokens else reading.bit_order
    return replace(reading, axes=first.array_axes, bit_order=bit_order)


def member_names(inputs: Sequence[str]) -> list[str]:
    """What files are called in a container: by their paths below the folder that has all of them.

    Raises:
        NncodecError: two are one file, one is no file, or cannot be called so.
    """
    if STANDARD_STREAM in inputs:
        raise NncodecError("<stdin>: has no name in a container of many; name files")
    paths = [os.path.abspath(name) for name in inputs]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    names: dict[str, str] = {}
    for input_, path in zip(inputs, paths, strict=True):
        name = "/".join(os.path.relpath(path, folder).split(os.sep))
        if name in names:
            raise NncodecError(f"{file_label(input_)}: is given twice; leave one out")
        if not member_name_fits(name):
            raise NncodecError(f"{file_label(input_)}: no member can have this name; rename it")
        names[name] = input_
    return list(names)


def _verify(encoded: Encoded, files: CodeFiles, threads: Threads) -> None:
    reader = ContainerReader(io.BytesIO(encoded.data))
    same = 0
    try:
        model = model_to_decode(reader)
        for number, tensors in decode_members(reader, model=model, threads=threads):
            again = files.read(number).marked_pictures
            same += len(again) == len(tensors) and all(map(np.array_equal, again, tensors))
    except BitstreamError:
        same = -1
    if same != len(files):
        raise NncodecError(
            "what was compressed does not decode to the same codes, and nothing was written; if no "
            "file was changed meanwhile, this is a defect of nncodec, please report it"
        )
