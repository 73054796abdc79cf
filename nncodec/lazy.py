"""Containers that are read as far as they are asked for: `nncodec.open`."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from nncodec.api import check_like, check_model, give_like, only_source
from nncodec.coding.codec import decode_container
from nncodec.coding.threads import Threads, thread_count
from nncodec.errors import NncodecError
from nncodec.files.late_payloads import LatePayloads, LateReader
from nncodec.files.model_choice import ModelChoice, model_to_decode
from nncodec.files.model_files import name_of_model
from nncodec.files.readable import Readable, open_readable
from nncodec.files.streams import naming_errors
from nncodec.format.code_tensor import Codes, Covered, covered
from nncodec.format.container import Container, Part, needed_segments
from nncodec.format.extent import Shape
from nncodec.format.header import Header, read_header
from nncodec.format.limits import MAX_BITS
from nncodec.format.source import Source
from nncodec.model.model import Model

_LOOK_SECONDS = 0.05
"""How often a decoder that has a layer to give looks whether it is still wanted."""


def open(
    file: Readable,
    *,
    model: ModelChoice | None = None,
    max_bits: int = MAX_BITS,
    threads: int | None = None,
) -> LazyFile:
    """Opens a container and reads its header, and nothing behind it.

    Args:
        file: a path; a URL, as `s3://bucket/codes.nnb`, for which fsspec is needed; a binary
            stream, which need not be seekable; or bytes.
        model, max_bits, threads: as for `decode`.

    Raises:
        BitstreamError: the file is damaged, or no container.
        CodesError: it holds several arrays, which are for `decode_many`.
        NncodecError: it cannot be opened.

    Example:
        >>> import numpy as np
        >>> import nncodec
        >>> data = nncodec.encode(np.zeros((4, 1, 16, 16, 8), dtype=np.uint8))
        >>> with nncodec.open(data) as f:
        ...     print(f.shape, f.decode(layers=1).shape, len(list(f.layers())))
        (4, 1, 16, 16, 8) (1, 1, 16, 16, 8) 4
    """
    check_model(model)
    return LazyFile(file, model, max_bits, thread_count(threads))


class LazyFile:
    """A container of which the header is read, and the rest when it is needed.

    Payloads are read in their order and kept, so that no byte is read twice. Several threads may
    use it. Of pictures in several groups, which lie one behind the other, the first layers take the
    bytes before those of the last group, too.

    Attributes:
        header: what the container says of itself.
    """

    def __init__(
        self, file: Readable, model: ModelChoice | None, max_bits: int, threads: int
    ) -> None:
        """Opens a file; arguments and errors as for `open`."""
        self._stream, self._label, self._owned = open_readable(file)
        self._choice, self._max_bits, self._threads, self._closed = model, max_bits, threads, False
        try:
            with naming_errors(self._label):
                self.header: Header = read_header(self._stream)
                self._source = only_source(self.header)
        except BaseException:
            self.close()
            raise
        self._reader = LateReader(self._stream, self.header)

    @property
    def shape(self) -> Shape:
        """Of the code tensor: layers, batch, height, width, layer_depth."""
        return self.header.shape

    @property
    def layer_count(self) -> int:
        return self.header.layers

    @property
    def layer_bytes(self) -> list[int]:
        """What each layer takes in the file; layers of one segment share its bytes evenly."""
        return self.header.layer_bytes()

    @property
    def model(self) -> str:
        """The name of the model that it needs, or its id where it is not found; or "adaptive"."""
        return name_of_model(self.header.model_id)

    @property
    def sequence(self) -> bool:
        """Whether the pictures of the batch are frames."""
        return self.header.sequence

    @property
    def metadata(self) -> Source:
        """What the code file was, beside its bits: form, axes, type, name."""
        return self.header.file_source

    def decode(self, layers: int | None = None, *, like: str = "codes") -> Any:
        """Gives the code tensor or its first layers, and reads no byte behind them.

        Args:
            layers: how many layers to decode, from the first; all by default.
            like: the form of what comes back, as for `nncodec.decode`.

        Returns:
            uint8 {0, 1}, [layers, batch, height, width, layer_depth], unless `like` is another; 0
            where a position has ended.

        Raises:
            BitstreamError: the file is damaged, or ends within these layers.
            CodesError: it has fewer layers, or these have more code bits than `max_bits`.
            ModelError: the model is missing, or not the one that the container names.
        """
        return self.decode_covered(layers, like=like).codes

    def decode_covered(self, layers: int | None = None, *, like: str = "codes") -> Covered:
        """Gives what `decode` gives, and how many of these layers each position has.

        Args:
            layers, like: as for `decode`.

        Raises:
            NncodecError: as for `decode`.
        """
        with self._opened():
            check_like(like)
            container, model = self._first(layers)
            marked = decode_container(container, model=model, threads=Threads(self._threads))
            codes, coverage = covered(marked[:layers])
            return Covered(give_like(like, codes, self._source), coverage)

    def layers(self, layers: int | None = None) -> Iterator[Codes]:
        """Gives one layer after another, each as soon as it is decoded.

        The bytes of a layer are read when its first bit is decoded: before that where several
        threads work, some rows behind the layer before it. Where the file has to be waited for, as
        a stream from a network, the layers that are there have been given. Whoever stops early
        spares reading and decoding the rest, but for a layer or two. Of pictures in several groups,
        each of which has a part of every layer, all are decoded before the first layer is given.

        Args:
            layers: how many layers to decode, from the first; all by default.

        Yields:
            uint8 {0, 1}, [batch, height, width, layer_depth].

        Raises:
            NncodecError: as `decode`, after the last layer that is whole.
        """
        handover: queue.Queue[Codes | BaseException | None] = queue.Queue(1)
        stopped = threading.Event()
        arguments = (handover, stopped, layers)
        threading.Thread(target=self._feed, args=arguments, daemon=True).start()
        try:
            with self._opened():
                while (item := handover.get()) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item
        finally:
            stopped.set()

    def close(self) -> None:
        """Closes the file, if it was opened here; nothing more is decoded of it."""
        self._closed = True
        if self._owned:
            self._stream.close()

    def __enter__(self) -> LazyFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        what = self._label or "of bytes"
        return f"<nncodec.LazyFile {what}: {self.header.extent}, model {self.model}>"

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        """Names the file in errors, and says it where they come of its being closed."""

        def check() -> None:
            if self._closed or getattr(self._stream, "closed", False):
                raise NncodecError("the file was closed; open it again")

        with naming_errors(self._label):
            check()
            try:
                yield
            except ValueError:  # of a stream that was closed meanwhile
                check()
                raise

    def _first(self, layers: int | None) -> tuple[Container, Model | None]:
        """A container of the segments that hold so many first layers, and what decodes it."""
        header = self.header
        needed = needed_segments(header, layers, self._max_bits, together=True)
        ends = itertools.accumulate(len(group.segments) for group in header.groups)
        parts = [
            Part(number, LatePayloads(self._reader, range(begin, begin + count)))
            for number, (begin, count) in enumerate(zip([0, *ends], needed, strict=False))
        ]
        container = Container(header, parts, self._reader.embedded())
        return container, model_to_decode(container, self._choice)

    def _feed(
        self,
        handover: queue.Queue[Codes | BaseException | None],
        stopped: threading.Event,
        layers: int | None,
    ) -> None:
        """Decodes, in a thread of its own, what `layers` yields; None or an error is the last."""

        def put(item: Codes | BaseException | None) -> None:
            while True:
                look(0)
                with contextlib.suppress(queue.Full):
                    handover.put(item, timeout=_LOOK_SECONDS)
                    return

        def look(_: int) -> None:
            if stopped.is_set():
                raise _StoppedError

        def each(numbers: range, codes: Codes) -> None:
            for layer, bits in zip(numbers, covered(codes).codes, strict=True):
                if layers is None or layer < layers:
                    put(bits)

        with contextlib.suppress(_StoppedError):
            try:
                container, model = self._first(layers)
                threads = Threads(self._threads, look)
                decode_container(container, model=model, threads=threads, each=each)
            except _StoppedError:
                raise
            except BaseException as error:
                put(error)
            else:
                put(None)


class _StoppedError(Exception):
    """Nobody wants the rest."""
