"""Model files of version 1, written from FORMAT.md alone: section 5, and what is valid.

With the standard library alone: safetensors files are taken apart here.
"""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from tests.reference_numbers import (
    AROUND_TAPS,
    LARGEST_RATES,
    block_size,
    network_places,
    network_taps,
    unit_inputs,
)

MAX_MODEL_BYTES = 1 << 28
MAX_HEADER_BYTES = 1 << 20
MAX_HIDDEN = 64
MOST_EARLIER_LAYERS = 1 << 14

TYPES = {"I8": ("b", "|i1"), "I16": ("h", "<i2"), "I32": ("i", "<i4"), "I64": ("q", "<i8")}
"""Of a model's arrays: as struct has them, and as the model id does."""

SIZES = ("layers", "channels", "group_size", "reach", "earlier_layers")
TEXTS = ("nncodec", "network", "facts", "model_id")


class FormatError(ValueError):
    """The file breaks a rule of the format."""


def require(rule: bool, what: str) -> None:
    if not rule:
        raise FormatError(what)


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
        sizes = json.loads(texts["network"]) if texts["network"] else {}
        forms = {name: (entry["dtype"], entry["shape"]) for name, entry in entries.items()}
        values = _arrays(data[end:], entries)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FormatError(f"this is no model file: {error!r}") from error
    _check_forms(forms, sizes)

    stored = {name: data[end:][slice(*entry["data_offsets"])] for name, entry in entries.items()}
    model_id = id_of(sizes, forms, stored)
    require(model_id.hex() == texts["model_id"], "the model id is not that of the numbers")

    start, network = (
        {name.removeprefix(part): array for name, array in values.items() if name.startswith(part)}
        for part in ("start.", "network.")
    )
    _check_start(start)
    if sizes:
        network |= sizes
        _check_network(network)
    return start, network or None, model_id


def id_of(
    sizes: Mapping[str, int],
    forms: Mapping[str, tuple[str, list[int]]],
    stored: Mapping[str, bytes],
) -> bytes:
    """The model id: of a network's sizes, and of all arrays, their types and shapes and bytes."""
    digest = hashlib.sha256(b"nncodec model 1")
    for name in sorted(sizes):
        digest.update(f"\n{name} {sizes[name]}".encode())
    for name in sorted(forms):
        kind, shape = forms[name]
        digest.update(f"\n{name} {TYPES[kind][1]} {shape}\n".encode() + stored[name])
    return digest.digest()[:8]


def _arrays(data: bytes, entries: dict[str, Any]) -> dict[str, Any]:
    """All arrays as nested lists; they fill the data."""
    end, arrays = 0, {}
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        letter = TYPES[entry["dtype"]][0]
        require(begin == end, "the arrays have gaps or overlaps")
        end = begin + struct.calcsize(letter) * math.prod(entry["shape"])
        require(stop == end <= len(data), f"the array {name} has another length")
        numbers: Any = [number for (number,) in struct.iter_unpack("<" + letter, data[begin:end])]
        for size in reversed(entry["shape"][1:]):
            numbers = [numbers[at : at + size] for at in range(0, len(numbers), size)]
        arrays[name] = numbers
    require(end == len(data), "something follows the arrays")
    return arrays


def _check_forms(forms: dict[str, tuple[str, list[int]]], sizes: dict[str, int]) -> None:
    """Holds that the arrays are those of a model, of its types and shapes."""
    require("start.units" in forms and len(forms["start.units"][1]) == 3, "there are no units")
    layers, channels = forms["start.units"][1][:2]
    require(min(layers, channels) >= 1, "the model is for nothing")
    block, mixed, with_network = block_size(channels), 6 + bool(sizes), int(bool(sizes))
    expected: dict[str, tuple[str, list[int]]] = {
        "start.units": ("I16", [layers, channels, unit_inputs(channels) + with_network]),
        "start.shared": ("I16", [layers, 31]),
        "start.around": ("I16", [layers, channels, len(AROUND_TAPS), block]),
        "start.mixers": ("I32", [layers, channels, mixed]),
        "start.sets": ("I32", [layers, mixed]),
        "start.rates": ("I32", [layers, len(LARGEST_RATES)]),
        "start.half_lives": ("I32", [layers, 4]),
    }
    if sizes:
        whole = set(sizes) == set(SIZES) and all(type(size) is int for size in sizes.values())
        require(whole, "the network's sizes are others")
        require((sizes["layers"], sizes["channels"]) == (layers, channels), "they do not fit")
        require(1 <= sizes["reach"] <= 3, "no such taps")
        require(0 <= sizes["earlier_layers"] <= MOST_EARLIER_LAYERS, "no such layers")
        require(1 <= sizes["group_size"] <= channels, "no such groups")
        rows, hidden = (*forms.get("network.weights", ("", []))[1], 0, 0)[:2]
        require((1 + sizes["earlier_layers"]) * channels <= rows, "there are too few inputs")
        taps = network_taps(sizes["reach"], sizes["earlier_layers"])
        network_inputs = len(taps) * channels + len(network_places(taps))
        groups = math.ceil(channels / sizes["group_size"])
        require(hidden >= 1 and hidden % groups == 0, "the groups have no hidden units")
        require(hidden <= MAX_HIDDEN * channels, "there are too many hidden units")
        expected |= {
            "network.weights": ("I8", [network_inputs, hidden]),
            "network.scale": ("I32", [layers, hidden]),
            "network.shift": ("I64", [layers, hidden]),
            "network.head": ("I8", [layers, hidden, channels]),
            "network.head_scale": ("I32", [layers, channels]),
            "network.bias": ("I64", [layers, channels]),
        }
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


def _check_network(network: dict[str, Any]) -> None:
    channels, group_size = network["channels"], network["group_size"]
    weights, hidden = network["weights"], len(network["weights"][0])
    hidden_of_group = hidden // math.ceil(channels / group_size)
    for channel, row in enumerate(weights[:channels]):  # those of the position itself
        for unit, weight in enumerate(row):
            known = channel < unit // hidden_of_group * group_size
            require(known or weight == 0, "the network would see unknown bits")
    for layer in network["head"]:
        for unit, row in enumerate(layer):
            for channel, weight in enumerate(row):
                lower = channel // group_size < unit // hidden_of_group
                require(not lower or weight == 0, "the head would see unknown bits")

    sums = [sum(map(abs, column)) for column in zip(*weights, strict=True)]
    for layer in range(network["layers"]):
        outputs = [127 * sum(map(abs, c)) for c in zip(*network["head"][layer], strict=True)]
        require(max(*sums, *outputs) < 1 << 31, "a sum of the network is too large")
        for terms, scale, shift in (
            (sums, network["scale"], network["shift"]),
            (outputs, network["head_scale"], network["bias"]),
        ):
            rows = zip(terms, scale[layer], shift[layer], strict=True)
            largest = max(term * abs(factor) + abs(more) for term, factor, more in rows)
            require(largest < 1 << 62, "a number of the network is too large")
