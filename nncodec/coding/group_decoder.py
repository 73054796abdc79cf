"""Payloads -> the codes of a group of pictures; how groups are encoded, groups.py says."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from nncodec.coding.range_coder import POSSIBLE, give_payload, waiting_decoders
from nncodec.coding.segments import segment_checksum
from nncodec.coding.threads import ONE_THREAD, Threads
from nncodec.coding.traversal import Calls, traverse
from nncodec.errors import BitstreamError
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.format.fields import DAMAGED
from nncodec.format.groups import Group
from nncodec.model.model import Model
from nncodec.model.schedule import Schedule

EachLayers = Callable[[range, Codes], object]
"""Takes the layers of a segment, and their codes."""


def decode_group(
    group: Group,
    payloads: Sequence[bytes],
    schedule: Schedule,
    model: Model | None,
    threads: Threads = ONE_THREAD,
    each: EachLayers | None = None,
) -> Codes:
    """Decodes the first segments of a group.

    Args:
        group: what the header says of it.
        payloads: of so many first segments; they are asked for when their turn comes.
        schedule: of the group, of all its layers.
        model: what was predicted with.
        threads: that work side by side; what they make is the same for any number.
        each: is called, by any thread, with the layers of a segment and their codes, as soon as
            these are decoded: of one segment after the other. Layers that no position has come
            last.

    Returns:
        uint8 {0, 1}, or ABSENT, [layers of these segments, bits of a layer]; where positions end
        early and all segments are there, all layers.

    Raises:
        BitstreamError: a checksum is wrong, or no position has the last layer that one has.
        ModelError: the model does not fit the codes.
    """
    held = group.segment_layers()[: len(payloads)]
    extent = schedule.extent.first_layers(held[-1].stop if held else 0)
    marks, layers = None, extent.layers
    whole = group.decisions is not None and len(held) == len(group.segments)
    if group.decisions is not None:
        marks = np.zeros((layers, extent.positions), dtype=np.uint8)
        marks[: group.whole_layers] = 1
        schedule = replace(schedule, decisions=group.decisions[:layers])
    # No position has more layers than the segments.
    codes = np.full((schedule.layers if whole else layers, extent.bits_per_layer), ABSENT, np.uint8)
    if held:
        decoder = _Decoder(group, payloads, codes[:layers], marks, each)
        schedule = replace(schedule, extent=extent)
        calls = Calls(decoder.finish, decoder.begin)
        traverse(schedule, held, decoder.coders, model, calls, threads)
    if marks is not None and whole and any(group.decisions or ()):
        if not marks[-1].any():
            raise BitstreamError(f"no position has layer {layers - 1}; {DAMAGED}")
        if marks.sum(dtype=np.int64) != group.held:
            raise BitstreamError(f"positions have not {group.held} layers in all; {DAMAGED}")
    if each and len(codes) > layers:
        each(range(layers, len(codes)), codes[layers:])
    return codes


class _Decoder:
    """Decodes the first segments of a group.

    Attributes:
        coders: of these.
    """

    def __init__(
        self,
        group: Group,
        payloads: Sequence[bytes],
        codes: Codes,
        marks: Codes | None,
        each: EachLayers | None,
    ) -> None:
        """Makes the coders, which wait for their payloads."""
        self._codes, self._marks, self._payloads, self._each = codes, marks, payloads, each
        self._segments = group.segments[: len(payloads)]
        self._layers = group.segment_layers()[: len(payloads)]
        whole = group.whole_layers
        self._packed = [
            segment.stored and layers.stop <= whole
            for segment, layers in zip(self._segments, self._layers, strict=True)
        ]
        lengths = [
            0 if packed else segment.byte_length
            for segment, packed in zip(self._segments, self._packed, strict=True)
        ]
        plain = [segment.stored for segment in self._segments]
        self.coders = waiting_decoders(codes, lengths, marks, plain)

    def begin(self, index: int) -> None:
        """Gives a segment its payload; bits that are stored lie in the codes at once."""
        payload = self._payloads[index]
        if self._packed[index]:
            part = self._part(index)
            bits = np.frombuffer(payload, dtype=np.uint8)
            part.reshape(-1)[:] = np.unpackbits(bits, count=part.size)
        give_payload(self.coders, index, None if self._packed[index] else payload)

    def finish(self, index: int) -> None:
        """Refuses a segment that is decoded, but damaged."""
        layers, part = self._layers[index], self._part(index)
        if not self.coders.states[index, POSSIBLE]:
            raise BitstreamError(f"a payload is damaged; {DAMAGED}")
        marks = None if self._marks is None else self._marks[layers.start : layers.stop]
        if segment_checksum(part, marks, self._payloads[index]) != self._segments[index].checksum:
            first, *others = layers
            which = f"layers {first} to {others[-1]}" if others else f"layer {first}"
            raise BitstreamError(f"the checksum of {which} is wrong; {DAMAGED}")
        if self._each:
            self._each(layers, part)

    def _part(self, index: int) -> Codes:
        layers = self._layers[index]
        return self._codes[layers.start : layers.stop]
