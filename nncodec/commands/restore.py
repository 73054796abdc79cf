"""What gives back the files of a container of many: `decompress --output-dir`, `--only`.

Nothing is printed here, and click is not imported, as in one_file.py.
"""

import contextlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nncodec.coding.many import decode_members
from nncodec.coding.threads import Threads
from nncodec.commands.held_files import check_below, names_of, numbers_of, output_below
from nncodec.commands.layer_reports import count_coded
from nncodec.commands.member_reports import bytes_read, some_of
from nncodec.commands.one_file import GOES_ON, Decompression, FileReport, Watch, layers_left
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
from nncodec.format.header import Header


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
        outputs = {number: output_below(folder, names[number]) for number in wanted}
        for output in outputs.values():
            check_below(output, force=decompression.force, source=input_)
        outcome = _extract(decompression, reader, outputs, names, label, watch)
        every = len(wanted) == len(names) and decompression.layers is None
        with naming(label):
            goes_on = decompression.partial and every and bool(stream.read(1))
        header, lost = reader.header, outcome.lost
    layers = min(outcome.layers, reader.wanted)
    kept = [number for number in wanted if number not in lost]
    done = len(kept)
    if not done:
        none = f"{some_of([names[number] for number in lost])} cannot be restored"
        none = none if only else "no file is whole"
        raise NncodecError(f"{label}: {none}; get another copy")
    facts = {
        "input_bytes": bytes_read(header, kept, layers),
        "output_bits": outcome.bits,
        "files": [names[number] for number in kept],
        "lost": [names[number] for number in lost],
        "missing_layers": reader.wanted - layers,
    }
    warnings = []
    if outcome.unsaid:
        some = some_of([names[number] for number in outcome.unsaid])
        warnings.append(f"{label}: {some}: {NOT_SAID}")
    if layers < reader.wanted:
        warnings.append(f"{label}: {layers_left(layers, reader.wanted)}")
    if goes_on:
        warnings.append(f"{label}: {GOES_ON}")
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
    names: Sequence[str],
    label: str,
    watch: Watch,
) -> _Outcome:
    """Writes files."""
    header = reader.header
    layers, bits = header.layers, 0
    with naming(label):
        model = model_to_decode(reader, decompression.model)
    # With --partial what follows the last group is no error, as it is where all are read.
    every = len(outputs) == len(header.members) and not decompression.partial
    some = None if every else outputs.keys()
    left, unsaid = dict(outputs), []
    with watch.coding(label, header.bits) as progress:
        decoded = decode_members(
            reader,
            model=model,
            only=some,
            partial=decompression.partial,
            threads=Threads(decompression.threads, progress),
        )

        def damage(error: BitstreamError) -> str | None:
            if decompression.partial and isinstance(error, TruncatedError):
                return None
            rest = [names[number] for number in left]
            groups = len(header.groups)
            return _damage_text(error, rest, len(outputs), groups, force=decompression.force)

        for number, tensors in _named(decoded, label, damage):
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
    decoded: Iterator[tuple[int, list[Codes]]],
    label: str,
    damage: Callable[[BitstreamError], str | None],
) -> Iterator[tuple[int, list[Codes]]]:
    """The same, with the container named in errors of what is read of it.

    Args:
        decoded: files.
        label: of their container.
        damage: says what is wrong, and what may be done; nothing where the rest is just not there.
    """
    while True:
        with naming(label):
            try:
                one = next(decoded, None)
            except BitstreamError as error:
                if not (line := damage(error)):
                    return
                raise BitstreamError(line) from error
        if one is None:
            return
        yield one


def _damage_text(
    error: BitstreamError, left: Sequence[str], wanted: int, groups: int, *, force: bool
) -> str:
    """Says what is damaged, and how the other files are restored.

    Args:
        error: of what is read of the container.
        left: the names of those files that are wanted, and not written; the first is not whole.
        wanted: how many are.
        groups: of the container; of a single one, no file is whole.
        force: whether files may be replaced.
    """
    if not left:
        return f"{error}; all files are written"
    line = str(error)
    if groups > 1 and not isinstance(error, TruncatedError):
        line = f"{left[0]}: {line}"
        line += "; --partial restores the other files" if wanted > 1 else ""
    written = len(left) < wanted and not force
    return line + ("; add --force for those that are written already" if written else "")


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
            decoded = decode_members(
                reader,
                model=model,
                only=[number],
                partial=decompression.partial,
                threads=Threads(decompression.threads, progress),
            )
            tensors = _tensors_of(name, decoded, reader.header)
        content = io.BytesIO()
        source = reader.header.members[number].source
        if output != STANDARD_STREAM:
            check_suffix(output, source.suffix)
        write_marked(content, tensors, source)
    with watch.writing(), open_output(output, force=decompression.force) as target:
        target.write(content.getbuffer())
    facts = {
        "input_bytes": bytes_read(reader.header, [number], len(tensors[0])),
        "output_bits": count_coded(tensors),
        "shapes": [list(codes.shape) for codes in tensors],
        "missing_layers": reader.wanted - len(tensors[0]),
    }
    warnings = [f"{label}: {NOT_SAID}"] if loses_coverage(tensors, source) else []
    if len(tensors[0]) < reader.wanted:
        warnings.append(f"{label}: {layers_left(len(tensors[0]), reader.wanted)}")
    line = f"{label}: {name} -> {output_label(output)}"
    return FileReport(facts, line, warnings=tuple(warnings))


def _tensors_of(
    name: str, decoded: Iterator[tuple[int, list[Codes]]], header: Header
) -> list[Codes]:
    """Gives what was decoded of the only file that is wanted, or says that it is not whole."""
    try:
        one = next(decoded, None)
    except TruncatedError as error:
        if len(header.groups) == 1:
            raise
        line = f"the file ends early, {name} is not whole; get another copy"
        raise TruncatedError(line) from error
    if one is None:
        raise BitstreamError(f"{name} is damaged; get another copy")
    return one[1]
