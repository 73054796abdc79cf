"""One file of `compress` or `decompress`: it is read, converted, written, and reported on.

Nothing is printed here, and click is not imported, so that it can happen in any process.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nncodec.coding.codec import Encoded, decode_tensors
from nncodec.coding.many import encode_file
from nncodec.coding.threads import Progress, Threads
from nncodec.commands.layer_reports import count_coded
from nncodec.commands.output_names import (
    CODE_SUFFIXES,
    SUFFIX,
    check_suffix,
    code_file_name,
    container_name,
    removable,
    remove_input,
)
from nncodec.commands.reading import Reading
from nncodec.commands.reports import (
    NOT_SAID,
    container_facts,
    counted,
    extents_text,
    frames,
    loses_coverage,
    size_table,
    source_facts,
)
from nncodec.errors import NncodecError
from nncodec.files.code_files import write_marked
from nncodec.files.model_choice import (
    Predictor,
    choose_predictor,
    model_to_decode,
    sample_of_many,
)
from nncodec.files.model_files import name_of_model
from nncodec.files.streams import (
    STANDARD_STREAM,
    check_output,
    open_input,
    open_output,
    output_label,
)
from nncodec.format.code_tensor import Codes
from nncodec.format.container import Container, ContainerReader, read_container
from nncodec.format.header import pack_header, read_header
from nncodec.model.model import Model

GOES_ON = "at least one byte follows the last payload, and was left out"
"""What the user of a container has to know that is longer than it should be."""


@dataclass(frozen=True)
class Watch:
    """Context managers that are entered around the steps of the work on a file.

    Attributes:
        coding: takes the file's name and how many bits will be coded, and gives what to tell the
            progress to, or None.
        writing: surrounds the writing of an output.
    """

    coding: Callable[[str, int], AbstractContextManager[Progress | None]]
    writing: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class FileReport:
    """The report of a file that was written.

    Attributes:
        facts: for --json.
        line: for people.
        table: details, or empty.
        warnings: for standard error.
        notes: the same, if they are wanted.
    """

    facts: dict[str, Any]
    line: str
    table: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Compression:
    """`compress`, as its options say.

    Attributes:
        reading: how to read code files.
        model, effort, sequence, embed_model, force: the options.
        verify: whether to decode the result and compare.
        remove: whether to remove the input, once the output is whole.
        threads: how many work on a file.
        group: how many pictures are coded together, 0 and None for all.
    """

    reading: Reading
    model: str
    effort: str
    sequence: bool | None
    embed_model: bool
    verify: bool
    force: bool
    remove: bool
    threads: int
    group: int | None = None

    counts = ("input_bits", "output_bytes")
    """The facts of files that add up."""
    suffixes: ClassVar[tuple[str, ...]] = CODE_SUFFIXES
    """What the names of inputs end with."""

    def name_output(self, input_: str) -> str:
        """Gives the name of an output, without its folder."""
        return container_name(input_)

    def choose(self, tensors: Sequence[Codes], sequence: bool | None) -> Predictor:
        """Chooses what predicts some code tensors.

        Args:
            tensors: few of them are asked for.
            sequence: whether their pictures are frames, as far as the axes say.
        """
        return choose_predictor(
            sample_of_many(tensors),
            self.model,
            sequence if self.sequence is None else self.sequence,
            effort=self.effort,
            embed=self.embed_model,
            threads=self.threads,
        )

    def convert(self, input_: str, output: str, watch: Watch) -> FileReport:
        """Compresses a code file.

        Args:
            input_, output: paths, or `STANDARD_STREAM`.
            watch: is entered meanwhile.

        Raises:
            NncodecError: of one line that begins with the name of a file.
        """
        check_output(output, force=self.force, source=input_)
        if self.remove:
            removable(input_, output)
        with open_input(input_) as (stream, label):
            file = self.reading.read(stream)
            bits, marked = sum(codes.size for codes in file.pictures), file.marked_pictures
            chosen = self.choose(marked, file.sequence)
            model = chosen.model
            with watch.coding(label, 2 * bits if self.verify else bits) as progress:
                coding = chosen.coding(self.embed_model, self.group or 0)
                threads = Threads(self.threads, progress)
                encoded = encode_file(marked, file.source, coding, threads)
                if self.verify:
                    _verify(encoded, marked, model, threads)
        with watch.writing(), open_output(output, force=self.force) as target:
            target.write(encoded.data)
        remove_input(input_, self.remove)
        model_name = name_of_model(encoded.header.model_id)
        facts = container_facts(encoded.header, model_name, encoded.layers)
        what = extents_text(file.pictures) + frames(encoded.header)
        line = (
            f"{label}: {facts['input_bits']} bits -> {len(encoded.data)} bytes, "
            f"rate {facts['rate']:.4f} ({facts['axes']}, {what}, model {model_name})"
        )
        notes = tuple(f"{label}: {note}" for note in file.notes)
        return FileReport(facts, line, size_table(encoded), chosen.warnings, notes)


@dataclass(frozen=True, kw_only=True)
class Decompression:
    """`decompress`, as its options say.

    Attributes:
        layers, model, partial, max_bits, force: the options.
        remove: whether to remove the input, once the output is whole.
        threads: how many work on a file.
    """

    layers: int | None
    model: str | None
    partial: bool
    max_bits: int
    force: bool
    remove: bool
    threads: int

    counts = ("input_bytes", "output_bits")
    """The facts of files that add up."""
    suffixes: ClassVar[tuple[str, ...]] = (SUFFIX,)
    """What the names of inputs end with."""

    def name_output(self, input_: str) -> str:
        """Gives the name of an output, without its folder, as the input's header says.

        Raises:
            NncodecError: of one line that begins with the name of the input.
        """
        with open_input(input_) as (stream, _):
            return code_file_name(input_, read_header(stream).file_source.suffix)

    def convert(self, input_: str, output: str, watch: Watch) -> FileReport:
        """Restores a code file; arguments and errors as for `Compression.convert`."""
        check_output(output, force=self.force, source=input_)
        if self.remove:
            removable(input_, output)
        with open_input(input_) as (stream, label):
            reader = ContainerReader(
                stream, layers=self.layers, max_bits=self.max_bits, together=True
            )
            header = reader.header
            # With --partial what follows the last group is no error, as it is where all are read.
            every = range(len(header.groups)) if self.partial else None
            parts = list(reader.parts(partial=self.partial, groups=every))
            container = Container(header, parts, reader.model)
            goes_on = self.partial and self.layers is None and bool(stream.read(1))
            if header.holds_files:
                held = counted(len(header.members), "file")
                raise NncodecError(
                    f"{label}: holds {held}; give --output-dir DIR, or --only NAME and OUTPUT"
                )
            source = header.file_source
            if output != STANDARD_STREAM:
                check_suffix(output, source.suffix)
            segments = header.groups[0].segment_layers()[: len(container.parts[0].payloads)]
            whole_layers = segments[-1].stop if segments else 0
            model = model_to_decode(container, self.model)
            with watch.coding(label, whole_layers * header.bits_per_layer) as progress:
                decoded = decode_tensors(
                    container, model=model, threads=Threads(self.threads, progress)
                )
            tensors = [codes[: self.layers] for codes in decoded]
            content = io.BytesIO()
            write_marked(content, tensors, source)
        with watch.writing(), open_output(output, force=self.force) as target:
            target.write(content.getbuffer())
        remove_input(input_, self.remove)
        read = [pack_header(header), container.model, *container.payloads]
        wanted = self.layers or header.layers
        layers, pictures = len(tensors[0]), sum(codes.shape[1] for codes in tensors)
        facts = {
            "input_bytes": sum(map(len, read)),
            "output_bits": count_coded(tensors),
            **source_facts(source),
            "shape": list(tensors[0].shape) if len(tensors) == 1 else None,
            "missing_layers": wanted - layers,
            "missing_pictures": header.extent.pictures - pictures,
        }
        warnings = []
        if layers < wanted:
            warnings.append(f"{label}: {layers_left(layers, wanted)}")
        if goes_on:
            warnings.append(f"{label}: {GOES_ON}")
        if loses_coverage(tensors, source):
            warnings.append(f"{label}: {NOT_SAID}")
        if pictures < header.extent.pictures:
            warnings.append(
                f"{label}: the file ends early; {pictures} of {header.extent.pictures} "
                "pictures are whole, and written"
            )
        line = f"{label}: {extents_text(tensors)} -> {output_label(output)}"
        return FileReport(facts, line, warnings=tuple(warnings))


def layers_left(layers: int, wanted: int) -> str:
    """Says that a file was cut off."""
    return f"the file ends early; {layers} of {wanted} layers are whole, and written"


def _verify(
    encoded: Encoded, tensors: Sequence[Codes], model: Model | None, threads: Threads
) -> None:
    try:
        container = read_container(io.BytesIO(encoded.data), max_bits=encoded.header.bits)
        if container.model:
            model = model_to_decode(container)
        decoded = decode_tensors(container, model=model, threads=threads)
        same = container.header == encoded.header and all(map(np.array_equal, decoded, tensors))
    except NncodecError:
        same = False
    if not same:
        raise NncodecError(
            "what was compressed does not decode to the same codes, and nothing was written; this "
            "is a defect of nncodec, please report it with the file"
        )
