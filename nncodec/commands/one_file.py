"""One file of `compress` or `decompress`: read, coded, written, and what there is to say of it.

Nothing is printed here, so that it can happen in any process.
"""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from nncodec.coding.codec import Encoded, decode_container, encode_source
from nncodec.coding.threads import Progress
from nncodec.commands.reports import container_facts, extent, size_table
from nncodec.errors import NncodecError
from nncodec.files.code_files import read_codes, write_code_file
from nncodec.files.model_choice import model_to_decode, model_to_encode
from nncodec.files.model_files import name_of_model
from nncodec.files.streams import check_output, open_input, open_output, output_label
from nncodec.format.code_tensor import Codes
from nncodec.format.container import read_container
from nncodec.format.header import pack_header, read_header
from nncodec.model.model import Model
from nncodec.model.packing import pack_embedded


@dataclass(frozen=True)
class Watch:
    """What is called around the parts of the work on a file.

    Attributes:
        coding: is called with the file's name and how many bits will be coded.
        writing: around the writing of an output.
    """

    coding: Callable[[str, int], AbstractContextManager[Progress | None]]
    writing: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class Done:
    """What there is to say of a file that was written.

    Attributes:
        facts: for --json.
        line: for people.
        table: its details.
        note: a warning, or empty.
    """

    facts: dict[str, Any]
    line: str
    table: str = ""
    note: str = ""


@dataclass(frozen=True)
class Compression:
    """`compress`, as its options say.

    Attributes:
        model, layout, layer_depth, layers, max_bits, embed_model, force: the options.
        verify: whether to decode the result and compare.
        threads: how many work on a file.
    """

    model: str
    layout: str
    layer_depth: int | None
    layers: int | None
    max_bits: int
    embed_model: bool
    verify: bool
    force: bool
    threads: int

    counts = ("input_bits", "output_bytes")
    """The facts of files that add up."""

    def suffix(self, input_: str) -> str:
        """What the name of an output ends with."""
        return ".bin"

    def code_file(self, input_: str, output: str, watch: Watch) -> Done:
        """Compresses a code file.

        Args:
            input_, output: paths, or `STANDARD_STREAM`.
            watch: what is called meanwhile.

        Raises:
            NncodecError: of one line that begins with the name of a file.
        """
        check_output(output, force=self.force, source=input_)
        with open_input(input_) as (stream, label):
            codes, source = read_codes(
                stream, self.layout, self.layer_depth, self.layers, self.max_bits
            )
            model = model_to_encode(self.model, codes, embed=self.embed_model, threads=self.threads)
            embedded = pack_embedded(model) if model and self.embed_model else b""
            with watch.coding(label, codes.size * (2 if self.verify else 1)) as progress:
                encoded = encode_source(
                    codes,
                    source,
                    model=model,
                    embedded=embedded,
                    threads=self.threads,
                    progress=progress,
                )
                if self.verify:
                    _verify(encoded, codes, model, self.threads, progress)
        with watch.writing(), open_output(output, force=self.force) as file:
            file.write(encoded.data)
        model_name = name_of_model(encoded.header.model_id)
        facts = container_facts(encoded.header, model_name, encoded.layers)
        line = (
            f"{label}: {codes.size} bits -> {len(encoded.data)} bytes, rate {facts['rate']:.4f} "
            f"({facts['layout']}, {extent(codes.shape)}, model {model_name})"
        )
        return Done(facts, line, size_table(encoded))


@dataclass(frozen=True)
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
        """What the name of an output ends with, as the input's header says.

        Raises:
            NncodecError: of one line that begins with the name of the input.
        """
        with open_input(input_) as (stream, _):
            source = read_header(stream).source
        return ".npz" if source.format in ("npz", "packed") else ".npy"

    def code_file(self, input_: str, output: str, watch: Watch) -> Done:
        """Restores a code file; arguments and errors as for `Compression.code_file`."""
        check_output(output, force=self.force, source=input_)
        with open_input(input_) as (stream, label):
            container = read_container(
                stream, layers=self.layers, partial=self.partial, max_bits=self.max_bits
            )
            header = container.header
            held = header.segment_layers()[len(container.payloads) - 1].stop
            model = model_to_decode(container, self.model)
            with watch.coding(label, held * header.bits_per_layer) as progress:
                decoded = decode_container(
                    container, model=model, threads=self.threads, progress=progress
                )
            codes = decoded[: self.layers]
            content = io.BytesIO()
            write_code_file(content, codes, header.source)
        with watch.writing(), open_output(output, force=self.force) as file:
            file.write(content.getbuffer())
        read = [pack_header(header), container.model, *container.payloads]
        wanted = self.layers or header.layers
        facts = {
            "input_bytes": sum(map(len, read)),
            "output_bits": codes.size,
            "layout": header.source.layout,
            "shape": list(codes.shape),
            "missing_layers": wanted - len(codes),
        }
        line = f"{label}: {extent(codes.shape)} -> {output_label(output)}"
        if len(codes) == wanted:
            return Done(facts, line)
        whole = f"{len(codes)} of {wanted} layers are whole, and written"
        return Done(facts, line, note=f"{label}: the file ends early; {whole}")


def _verify(
    encoded: Encoded, codes: Codes, model: Model | None, threads: int, progress: Progress | None
) -> None:
    try:
        container = read_container(io.BytesIO(encoded.data))
        if container.model:
            model = model_to_decode(container)
        decoded = decode_container(container, model=model, threads=threads, progress=progress)
        same = container.header == encoded.header and bool((decoded == codes).all())
    except NncodecError:
        same = False
    if not same:
        raise NncodecError(
            "what was compressed does not decode to the same codes, and nothing was written; this "
            "is a defect of nncodec, please report it with the file"
        )
