"""The files of a container of many, and what gives them back: `decompress --output-dir`, `--only`.

Nothing is printed here, and click is not imported, as in one_file.py.
"""

import contextlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence

from nncodec.coding.many import decode_members
from nncodec.coding.threads import Threads
from nncodec.commands.one_file import Decompression, FileReport, Watch
from nncodec.commands.output_names import check_suffix, claim
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
from nncodec.format.container import ContainerReader, packed_bytes
from nncodec.format.header import Header, read_header

NAMED_IN_WARNING = 5
"""Of how many lost files a warning says the names."""


def names_of(header: Header, path: str) -> list[str]:
    """What the files of a container are called; those without names by their numbers."""
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


def check_apart(
    inputs: Sequence[str], folder: str, others: Iterable[tuple[str, str | NncodecError]]
) -> None:
    """Refuses containers of which two would write one file, before any of them is restored.

    Args:
        inputs: containers of many files.
        folder: below which these are restored.
        others: further inputs with their outputs, as `plan` lists them.

    Raises:
        NncodecError: of one line that begins with the name of an output.
    """
    pairs = [(file_label(name), output) for name, output in others if isinstance(output, str)]
    for input_ in inputs:
        with open_input(input_) as (stream, label):
            names = names_of(read_header(stream), input_)
        pairs += [(label, _output(folder, name)) for name in names]
    source_of: dict[str, str] = {}
    for label, output in pairs:
        if both := claim(source_of, output, label):
            line = f"would be of both {both}; name a folder for each"
            raise NncodecError(f"{file_label(output)}: {line}")


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
                raise NncodecError("is no folder; name another")
        outputs = {number: _output(folder, names[number]) for number in wanted}
        for output in outputs.values():
            _check(output, force=decompression.force, source=input_)
        lost, unsaid = _extract(decompression, reader, outputs, label, watch)
        header = reader.header
    extents = header.member_extents()
    kept = [one for number in wanted if number not in lost for one in extents[number]]
    bits = sum(one.first_layers(reader.wanted).bits for one in kept)
    done = len(wanted) - len(lost)
    facts = {
        "input_bytes": _size(input_, header),
        "output_bits": bits,
        "files": [names[number] for number in wanted if number not in lost],
        "lost": [names[number] for number in lost],
    }
    warnings = [f"{label}: {names[unsaid[0]]}: {NOT_SAID}"] if unsaid else []
    if lost:
        some = ", ".join(names[number] for number in lost[:NAMED_IN_WARNING])
        them = "it" if len(lost) == 1 else "them"
        more = f" and {len(lost) - NAMED_IN_WARNING} more" if len(lost) > NAMED_IN_WARNING else ""
        warnings.append(f"{label}: {some}{more} cannot be restored; get another copy for {them}")
    line = f"{label}: {counted(done, 'file')} -> {file_label(folder)}"
    return FileReport(facts, line, warnings=tuple(warnings))


def _extract(
    decompression: Decompression,
    reader: ContainerReader,
    outputs: dict[int, str],
    label: str,
    watch: Watch,
) -> tuple[list[int], list[int]]:
    """Writes files; gives the numbers of those that are lost, and of those without coverages."""
    header = reader.header
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
            if loses_coverage(tensors, header.members[number].source):
                unsaid.append(number)
            with naming(output_label(output)):
                write_marked(content, tensors, header.members[number].source)
                if not is_url(output):
                    os.makedirs(os.path.dirname(output), exist_ok=True)
            with watch.writing(), open_output(output, force=decompression.force) as target:
                target.write(content.getbuffer())
    return list(left), unsaid


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
        "input_bytes": _size(input_, reader.header),
        "output_bits": sum(codes.size for codes in tensors),
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
        raise NncodecError(f"{label}: holds one file without a name; leave --only out")
    numbers = {name: number for number, name in enumerate(names)}
    for name in only:
        if name not in numbers:
            raise NncodecError(
                f"{label}: holds no file {name!a}; nncodec info lists those that it holds"
            )
    return sorted({numbers[name] for name in only}) if only else list(range(len(names)))


def _size(path: str, header: Header) -> int:
    """The bytes of a container; of one that a URL names, as its header has them."""
    if not is_url(path):
        return os.path.getsize(path)
    return packed_bytes(header)


def _output(folder: str, name: str) -> str:
    """Where a file goes, below a folder, whatever its name would mean on this system."""
    parts = name.split("/")
    if any(os.path.splitdrive(part)[0] or os.path.basename(part) != part for part in parts):
        raise NncodecError(f"{file_label(name)}: is no name of a file here; use another system")
    return os.path.join(folder, *parts)


def _check(output: str, *, force: bool, source: str) -> None:
    """Refuses what cannot be written, before the work for it is done."""
    if os.path.isdir(os.path.dirname(output)):
        check_output(output, force=force, source=source)
