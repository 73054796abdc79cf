"""What layers have, and take; of a container alone, as far as its header tells.

Where positions end early, a header has how many bits its groups code, and not which layer has how
many of them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.format.container import packed_bytes
from nncodec.format.extent import Extent
from nncodec.format.groups import Group
from nncodec.format.header import Header


def bits_of_layers(group: Group, extent: Extent, layers: range) -> int | None:
    """How many bits a group codes of some layers, if its sizes are these; None where unknown."""
    first, there = group.whole_layers, sum(segment.layers for segment in group.segments)
    if layers.start >= there:
        return 0
    if layers.stop <= first:
        return len(layers) * extent.bits_per_layer
    if layers.start <= first and layers.stop == there:
        return group.coded_bits(extent) - layers.start * extent.bits_per_layer
    return None


def header_layers(header: Header) -> list[dict[str, Any]]:
    """Gives what --json prints of the layers, as of `LayerSize`; null is what is not known."""
    parts = list(zip(header.groups, header.group_extents(), strict=True))
    rows: list[dict[str, Any]] = []
    sizes = zip(header.layer_bytes(), header.layer_stored(), strict=True)
    for layer, (size, stored) in enumerate(sizes):
        bits: int | None = header.bits_per_layer
        if header.ends_early:
            counts = [bits_of_layers(*part, range(layer, layer + 1)) for part in parts]
            bits = None if None in counts else sum(count or 0 for count in counts)
        row = {"layer": layer, "bits": bits, "bytes": size, "code_length": None}
        rows.append({**row, "stored": stored})
    return rows


def segment_rows(header: Header) -> list[dict[str, Any]]:
    """Rows of a table: the segments, then what else the container has, and the sum of all."""
    rows: list[dict[str, Any]] = []
    for group, extent in zip(header.groups, header.group_extents(), strict=True):
        for segment, layers in zip(group.segments, group.segment_layers(), strict=True):
            span = f"{layers[0]}-{layers[-1]}" if len(layers) > 1 else str(layers[0])
            bits, size = bits_of_layers(group, extent, layers), segment.byte_length
            row: dict[str, Any] = {"layers": span, "bits": bits, "bytes": size}
            row |= {"rate": size * 8 / bits} if bits else {"bits": "?", "rate": "?"}
            rows.append({**row, "stored": segment.stored})
    size, bits = packed_bytes(header), header.coded_bits
    rest = size - header.embedded_bytes - sum(row["bytes"] for row in rows)
    if header.embedded_bytes:
        rows.append({"layers": "model", "bytes": header.embedded_bytes})
    rows.append({"layers": "header", "bytes": rest})
    rows.append({"layers": "total", "bits": bits, "bytes": size, "rate": size * 8 / max(bits, 1)})
    return rows


def count_coded(tensors: Sequence[Codes]) -> int:
    """Counts the bits of decoded codes that were coded: all, unless positions end early."""
    return sum(int(np.count_nonzero(codes != ABSENT)) for codes in tensors)
