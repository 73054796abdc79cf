"""Model files of version 1, written from FORMAT.md alone: section 5, and what is valid.

With the standard library alone: safetensors files are taken apart here.
"""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tests.reference_network_rules import check_network, network_forms
from tests.reference_numbers import (
    AROUND_TAPS,
    LARGEST_RATES,
    FormatError,
    block_size,
    require,
    unit_inputs,
)

MAX_MODEL_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 20

TYPES = {"I8": ("b", "|i1"), "I16": ("h", "<i2"), "I32": ("i", "<i4"), "I64": ("q", "<i8")}
"""Of a model's arrays: as struct has them, and as the model id does."""

TEXTS = ("nncodec", "network", "facts", "model_id")


def read_model(data: bytes) -> tuple[dict[str, Any], dict[str, Any] | None, bytes]:
    """Gives the start, the network if there is one, and the model id of a model file."""
    require(len(data) <= MAX_MODEL_BYTES, "the model file is too long")
    try:
        end = 8 + int.from_bytes(data[:8], "little")
        require(end <= 8 + MAX_HEADER_BYTES, "the model file's header is too long")
        entries = json.loads(data[8:end])
        texts = entries.pop("__metadata__")
        require(texts["nncodec"] == "1", "the model file is of another version")
        checksum = zlib.crc32("\0".join(texts[name] for name in TEXTS).encode())
        require(texts["checksum"] == f"{checksum:08x}", "the checksum of the texts is wrong")
        require(isinstance(json.loads(texts["facts"]), dict), "the facts are no object")
        network = json.loads(texts["network"]) if texts["network"] else None
        forms = {name: (entry["dtype"], entry["shape"]) for name, entry in entries.items()}
        _check_filled(data[end:], entries)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError(f"this is no model file: {error!r}") from error
    if network is not None:
        text = json.dumps(network, separators=(",", ":"), sort_keys=True)
        require(text == texts["network"], "the network's text has another form")
    _check_forms(forms, network)

    stored = {name: data[end:][slice(*entry["data_offsets"])] for name, entry in entries.items()}
    model_id = id_of(texts["network"], forms, stored)
    require(model_id.hex() == texts["model_id"], "the model id is not that of the numbers")

    start = {}
    for name, (kind, shape) in forms.items():
        numbers = struct.iter_unpack("<" + TYPES[kind][0], stored[name])
        part, *rest = name.split(".")
        if part == "start":
            start[rest[0]] = _nested((number for (number,) in numbers), shape)
        elif network:
            operation = network["operations"][int(rest[0])]
            operation[rest[1]] = _nested((number for (number,) in numbers), shape)
    _check_start(start)
    if network:
        check_network(network)
    return start, network, model_id


def id_of(
    network: str,
    forms: Mapping[str, tuple[str, list[int]]],
    stored: Mapping[str, bytes],
) -> bytes:
    """The model id: of a network's text, and of all arrays, their types and shapes and bytes."""
    digest = hashlib.sha256(b"nncodec model 1")
    if network:
        digest.update(f"\n{network}".encode())
    for name in sorted(forms):
        kind, shape = forms[name]
        digest.update(f"\n{name} {TYPES[kind][1]} {shape}\n".encode() + stored[name])
    return digest.digest()[:8]


def _check_filled(data: bytes, entries: dict[str, Any]) -> None:
    """Holds that the arrays fill the data."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        require(begin == end, "the arrays have gaps or overlaps")
        end += struct.calcsize(TYPES[entry["dtype"]][0]) * math.prod(entry["shape"])
        require(stop == end <= len(data), f"the array {name} has another length")
    require(end == len(data), "something follows the arrays")


def _nested(numbers: Iterator[int], shape: list[int]) -> Any:
    """So many of the numbers as nested lists."""
    if not shape:
        return next(numbers)
    return [_nested(numbers, shape[1:]) for _ in range(shape[0])]


def _check_forms(forms: dict[str, tuple[str, list[int]]], network: Any) -> None:
    """Holds that the arrays are those of a model, of its types and shapes."""
    require("start.units" in forms and len(forms["start.units"][1]) == 3, "there are no units")
    layers, channels = forms["start.units"][1][:2]
    require(min(layers, channels) >= 1, "the model is for nothing")
    block, mixed, with_network = block_size(channels), 6 + bool(network), int(bool(network))
    expected: dict[str, tuple[str, list[int]]] = {
        "start.units": ("I16", [layers, channels, unit_inputs(channels) + with_network]),
        "start.shared": ("I16", [layers, 31]),
        "start.around": ("I16", [layers, channels, len(AROUND_TAPS), block]),
        "start.mixers": ("I32", [layers, channels, mixed]),
        "start.sets": ("I32", [layers, mixed]),
        "start.rates": ("I32", [layers, len(LARGEST_RATES)]),
        "start.half_lives": ("I32", [layers, 4]),
    }
    if network is not None:
        expected |= network_forms(network, forms, layers, channels)
    require(forms == expected, "the model's arrays are others")


def _flat(array: Any) -> list[int]:
    while isinstance(array[0], list):
        array = [value for row in array for value in row]
    return list(array)


def _check_start(start: dict[str, Any]) -> None:
    weight, mixer = 32767, 8 << 16
    limits = {"units": weight, "shared": weight, "around": weight, "mixers": mixer, "sets": mixer}
    for name, limit in limits.items():
        require(max(map(abs, _flat(start[name]))) <= limit, f"{name} has too large a weight")
    for rates, half_lives in zip(start["rates"], start["half_lives"], strict=True):
        fits = all(0 <= rate <= limit for rate, limit in zip(rates, LARGEST_RATES, strict=True))
        require(fits, "a rate is out of range")
        require(all(1 <= life <= 1 << 30 for life in half_lives), "a half-life is out of range")
