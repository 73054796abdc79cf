"""One file of `compress` or `decompress`: it is read, converted, written, and reported on.

Nothing is printed here, and click is not imported, so that it can happen in any process.
"""

import io
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO

from nncodec.coding.codec import Encoded, decode_container, encode_source
from nncodec.coding.threads import Progress, Threads
from nncodec.commands.reports import container_facts, extent, frames, size_table
from nncodec.errors import NncodecError
from nncodec.files.code_files import CodeFile, read_code_file, write_code_file
from nncodec.files.model_choice import choose_predictor, model_to_decode
from nncodec.files.model_files import name_of_model
from nncodec.files.streams import check_output, open_input, open_output, output_label
from nncodec.format.code_tensor import Codes
from nncodec.format.container import read_container
from nncodec.format.header import pack_header, read_header
from nncodec.format.source import Source
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded


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
    """

    facts: dict[str, Any]
    line: str
    table: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How the options say to read code files.

    Attributes:
        layout, layer_depth, layers, max_bits: as for `read_code_file`.
    """

    layout: str
    layer_depth: int | None
    layers: int | None
    max_bits: int

    def read(self, stream: BinaryIO) -> CodeFile:
        """Reads a code file; errors as for `read_code_file`."""
        return read_code_file(
            stream,
            layout=self.layout,
            layer_depth=self.layer_depth,
            layers=self.layers,
            max_bits=self.max_bits,
        )


@dataclass(frozen=True, kw_only=True)
class Compression:
    """`compress`, as its options say.

    Attributes:
        reading: how to read code files.
        model, effort, sequence, embed_model, force: the options.
        verify: whether to decode the result and compare.
        threads: how many work on a file.
    """

    reading: Reading
    model: str
    effort: str
    sequence: bool | None
    embed_model: bool
    verify: bool
    force: bool
    threads: int

    counts = ("input_bits", "output_bytes")
    """The facts of files that add up."""

    def suffix(self, input_: str) -> str:
        """Gives what the name of an output ends with."""
        return ".bin"

    def convert(self, input_: str, output: str, watch: Watch) -> FileReport:
        """Compresses a code file.

        Args:
            input_, output: paths, or `STANDARD_STREAM`.
            watch: is entered meanwhile.

        Raises:
            NncodecError: of one line that begins with the name of a file.
        """
        check_output(output, force=self.force, source=input_)
        with open_input(input_) as (stream, label):
            file = self.reading.read(stream)
            codes, bits = file.codes, file.codes.size
            chosen = choose_predictor(
                codes,
                self.model,
                self.sequence,
                effort=self.effort,
                embed=self.embed_model,
                threads=self.threads,
            )
            model = chosen.model
            with watch.coding(label, 2 * bits if self.verify else bits) as progress:
                encoded = encode_source(
                    codes,
                    file.source,
                    model=model,
                    embedded=pack_embedded(model) if model and self.embed_model else b"",
                    sequence=chosen.sequence,
                    threads=Threads(self.threads, progress),
                )
                if self.verify:
                    _verify(encoded, codes, model, Threads(self.threads, progress))
        with watch.writing(), open_output(output, force=self.force) as target:
            target.write(encoded.data)
        model_name = name_of_model(encoded.header.model_id)
        facts = container_facts(encoded.header, model_name, encoded.layers)
        what = extent(codes.shape) + frames(encoded.header)
        line = (
            f"{label}: {bits} bits -> {len(encoded.data)} bytes, rate {facts['rate']:.4f} "
            f"({facts['layout']}, {what}, model {model_name})"
        )
        return FileReport(facts, line, size_table(encoded))


@dataclass(frozen=True, kw_only=True)
class Decompression:
    """`decompress`, as its options say.

    Attributes:
        layers, model, partial, max_bits, force: the options.
        threads: how many work on a file.
    """

    layers: int | None
    model: str | None
    partial: bool
    max_bits: int
    force: bool
    threads: int

    counts = ("input_bytes", "output_bits")
    """The facts of files that add up."""

    def suffix(self, input_: str) -> str:
        """Gives what the name of an output ends with, as the input's header says.

        Raises:
            NncodecError: of one line that begins with the name of the input.
        """
        with open_input(input_) as (stream, _):
            return _suffix(read_header(stream).source)

    def convert(self, input_: str, output: str, watch: Watch) -> FileReport:
        """Restores a code file; arguments and errors as for `Compression.convert`."""
        check_output(output, force=self.force, source=input_)
        with open_input(input_) as (stream, label):
            container = read_container(
                stream, layers=self.layers, partial=self.partial, max_bits=self.max_bits
            )
            header = container.header
            whole_layers = header.segment_layers()[len(container.payloads) - 1].stop
            model = model_to_decode(container, self.model)
            with watch.coding(label, whole_layers * header.bits_per_layer) as progress:
                decoded = decode_container(
                    container, model=model, threads=Threads(self.threads, progress)
                )
            codes = decoded[: self.layers]
            content = io.BytesIO()
            write_code_file(content, codes, header.source)
        with watch.writing(), open_output(output, force=self.force) as target:
            target.write(content.getbuffer())
        read = [pack_header(header), container.model, *container.payloads]
        wanted = self.layers or header.layers
        facts = {
            "input_bytes": sum(map(len, read)),
            "output_bits": codes.size,
            "layout": header.source.layout,
            "shape": list(codes.shape),
            "missing_layers": wanted - len(codes),
        }
        warnings = []
        if len(codes) < wanted:
            warnings.append(
                f"{label}: the file ends early; {len(codes)} of {wanted} layers are whole, and "
                "written"
            )
        suffix = _suffix(header.source)
        if os.path.splitext(output)[1].lower() not in ("", suffix):
            warnings.append(
                f"{output_label(output)}: is written as a {suffix} file, which the original was; "
                "its name says otherwise"
            )
        line = f"{label}: {extent(codes.shape)} -> {output_label(output)}"
        return FileReport(facts, line, warnings=tuple(warnings))


def _suffix(source: Source) -> str:
    """Gives what the name of such a code file ends with."""
    return ".npz" if source.format in ("npz", "packed") else ".npy"


def _verify(encoded: Encoded, codes: Codes, model: Model | None, threads: Threads) -> None:
    try:
        container = read_container(io.BytesIO(encoded.data))
        if container.model:
            model = model_to_decode(container)
        decoded = decode_container(container, model=model, threads=threads)
        same = container.header == encoded.header and bool((decoded == codes).all())
    except NncodecError:
        same = False
    if not same:
        raise NncodecError(
            "what was compressed does not decode to the same codes, and nothing was written; this "
            "is a defect of nncodec, please report it with the file"
        )
