"""The files of a container of many, and what gives them back: `decompress --output-dir`, `--only`.

Nothing is printed here, and click is not imported, as in one_file.py.
"""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nncodec.coding.many import decode_members
from nncodec.coding.threads import Threads
from nncodec.commands.layer_reports import count_coded
from nncodec.commands.member_reports import bytes_read, some_of
from nncodec.commands.one_file import Decompression, FileReport, Watch, layers_left
from nncodec.commands.output_names import check_suffix
from nncodec.commands.reports import NOT_SAID, counted, loses_coverage
from nncodec.errors import BitstreamError, NncodecError, TruncatedError
from nncodec.files.code_files import write_marked
from nncodec.files.model_choice import model_to_decode
from nncodec.files.streams import (
    STANDARD_STREAM,
    check_output,
    file_label,
    naming,
    open_input,
    open_output,
    output_label,
)
from nncodec.files.urls import is_url, open_url
from nncodec.format.code_tensor import Codes
from nncodec.format.container import ContainerReader
from nncodec.format.header import Header, read_header


def names_of(header: Header, path: str) -> list[str]:
    """What the files of a container are called; those without names by their numbers.

    Args:
        header: of the container; where it holds one file, that has no name in it.
        path: of the container.
    """
    if not header.holds_files:
        return []
    stem = os.path.splitext(os.path.basename(path))[0]
    digits = len(str(len(header.members) - 1))
    return [
        member.name or f"{stem}-{number:0{digits}}{member.source.suffix}"
        for number, member in enumerate(header.members)
    ]


def holds_files(path: str) -> bool:
    """Whether a file is a container of members; it may be anything."""
    if path == STANDARD_STREAM or not (is_url(path) or os.path.isfile(path)):
        return False
    try:
        with open_input(path) as (stream, _):
            return read_header(stream).holds_files
    except NncodecError:
        return False


def extract(
    decompression: Decompression, input_: str, folder: str, only: Sequence[str], watch: Watch
) -> FileReport:
    """Restores the files of a container, below a folder.

    Args:
        decompression: what the options say.
        input_: a path, or a URL.
        folder: it is made if there is none.
        only: the names of those that are wanted; all if there are none.
        watch: is entered meanwhile.

    Raises:
        NncodecError: of one line that begins with the name of a file. Files that were written by
            then are whole, and stay.
    """
    label = file_label(input_)
    with contextlib.ExitStack() as stack:
        with naming(label):
            if is_url(input_):
                stream = stack.enter_context(open_url(input_))
            else:
                stream = stack.enter_context(open(input_, "rb"))
            reader = ContainerReader(
                stream, layers=decompression.layers, max_bits=decompression.max_bits
            )
            names = names_of(reader.header, input_)
            wanted = numbers_of(names, only, label)
        with naming(file_label(folder)):
            if os.path.exists(folder) and not os.path.isdir(folder):
                raise NncodecError("is no folder; name another by --output-dir")
        outputs = {number: output_below(folder, names[number]) for number in wanted}
        for output in outputs.values():
            _check(output, force=decompression.force, source=input_)
        outcome = _extract(decompression, reader, outputs, label, watch)
        header, lost = reader.header, outcome.lost
    layers = min(outcome.layers, reader.wanted)
    kept = [number for number in wanted if number not in lost]
    done = len(kept)
    if not done:
        raise NncodecError(f"{label}: no file is whole; get another copy")
    facts = {
        "input_bytes": bytes_read(header, kept, layers),
        "output_bits": outcome.bits,
        "files": [names[number] for number in kept],
        "lost": [names[number] for number in lost],
        "missing_layers": reader.wanted - layers,
    }
    warnings = [f"{label}: {names[outcome.unsaid[0]]}: {NOT_SAID}"] if outcome.unsaid else []
    if layers < reader.wanted:
        warnings.append(f"{label}: {layers_left(layers, reader.wanted)}")
    if lost:
        them = "it" if len(lost) == 1 else "them"
        some = some_of([names[number] for number in lost])
        warnings.append(f"{label}: {some} cannot be restored; get another copy for {them}")
    line = f"{label}: {counted(done, 'file')} -> {file_label(folder)}"
    return FileReport(facts, line, warnings=tuple(warnings))


@dataclass(frozen=True)
class _Outcome:
    """What became of the files of a container.

    Attributes:
        lost: the numbers of those that are not whole.
        unsaid: of those that do not say where their positions end.
        layers: how many the others have at least.
        bits: how many of their bits were coded.
    """

    lost: list[int]
    unsaid: list[int]
    layers: int
    bits: int


def _extract(
    decompression: Decompression,
    reader: ContainerReader,
    outputs: dict[int, str],
    label: str,
    watch: Watch,
) -> _Outcome:
    """Writes files."""
    header = reader.header
    layers, bits = header.layers, 0
    with naming(label):
        model = model_to_decode(reader, decompression.model)
    some = None if len(outputs) == len(header.members) else outputs.keys()
    left, unsaid = dict(outputs), []
    with watch.coding(label, header.bits) as progress:
        decoded = decode_members(
            reader,
            model=model,
            only=some,
            partial=decompression.partial,
            threads=Threads(decompression.threads, progress),
        )
        for number, tensors in _named(decoded, label):
            content = io.BytesIO()
            output = left.pop(number)
            layers, bits = min(layers, *map(len, tensors)), bits + count_coded(tensors)
            if loses_coverage(tensors, header.members[number].source):
                unsaid.append(number)
            with naming(output_label(output)):
                write_marked(content, tensors, header.members[number].source)
                if not is_url(output):
                    os.makedirs(os.path.dirname(output), exist_ok=True)
            with watch.writing(), open_output(output, force=decompression.force) as target:
                target.write(content.getbuffer())
    return _Outcome(list(left), unsaid, layers, bits)


def _named(
    decoded: Iterator[tuple[int, list[Codes]]], label: str
) -> Iterator[tuple[int, list[Codes]]]:
    """The same, with the file named in errors of what is read of it, and what may be done."""
    while True:
        with naming(label):
            try:
                one = next(decoded, None)
            except TruncatedError:
                raise
            except BitstreamError as error:
                raise BitstreamError(f"{error}; --partial restores the other files") from error
        if one is None:
            return
        yield one


def restore_one(
    decompression: Decompression, input_: str, output: str, name: str, watch: Watch
) -> FileReport:
    """Restores one file of a container under any name; errors as for `extract`."""
    check_output(output, force=decompression.force, source=input_)
    with open_input(input_) as (stream, label):
        reader = ContainerReader(
            stream, layers=decompression.layers, max_bits=decompression.max_bits
        )
        (number,) = numbers_of(names_of(reader.header, input_), [name], label)
        model = model_to_decode(reader, decompression.model)
        extents = reader.header.member_extents()[number]
        with watch.coding(label, sum(extent.bits for extent in extents)) as progress:
            threads = Threads(decompression.threads, progress)
            ((_, tensors),) = decode_members(reader, model=model, only=[number], threads=threads)
        content = io.BytesIO()
        source = reader.header.members[number].source
        if output != STANDARD_STREAM:
            check_suffix(output, source.suffix)
        write_marked(content, tensors, source)
    with watch.writing(), open_output(output, force=decompression.force) as target:
        target.write(content.getbuffer())
    facts = {
        "input_bytes": bytes_read(reader.header, [number], reader.wanted),
        "output_bits": count_coded(tensors),
        "shapes": [list(codes.shape) for codes in tensors],
    }
    warnings = (f"{label}: {NOT_SAID}",) if loses_coverage(tensors, source) else ()
    return FileReport(facts, f"{label}: {name} -> {output_label(output)}", warnings=warnings)


def numbers_of(names: Sequence[str], only: Sequence[str], label: str) -> list[int]:
    """The numbers of the files that are wanted, in the order of the container.

    Raises:
        NncodecError: there is none of such a name.
    """
    if not names:
        raise NncodecError(
            f"{label}: holds one file, which comes back as a whole; leave --only out"
        )
    numbers = {name: number for number, name in enumerate(names)}
    for name in only:
        if name not in numbers:
            raise NncodecError(
                f"{label}: holds no file {name!a}; nncodec info lists those that it holds"
            )
    return sorted({numbers[name] for name in only}) if only else list(range(len(names)))


def output_below(folder: str, name: str) -> str:
    """Where a file goes, below a folder, whatever its name would mean on this system."""
    parts = name.split("/")
    if any(os.path.splitdrive(part)[0] or os.path.basename(part) != part for part in parts):
        raise NncodecError(f"{file_label(name)}: is no name of a file here; use another system")
    return os.path.join(folder, *parts)


def _check(output: str, *, force: bool, source: str) -> None:
    """Refuses what cannot be written, before the work for it is done."""
    if os.path.isdir(os.path.dirname(output)):
        check_output(output, force=force, source=source)
