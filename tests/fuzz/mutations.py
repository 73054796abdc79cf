"""Damaged and forged files, from good ones.

Everything is drawn from a `random.Random`, so that a number is enough to make a file again.
"""

import io
import itertools
import json
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import numpy as np
import safetensors.numpy

from nncodec.errors import CodesError
from nncodec.files.array_files import npy_bytes
from nncodec.files.extras import pack_extras
from nncodec.format.axes import COMMON_AXES, LETTERS
from nncodec.format.container import Container, Part, pack
from nncodec.format.extent import Extent
from nncodec.format.fields import varint
from nncodec.format.groups import Group, Segment
from nncodec.format.header import Header
from nncodec.format.magic import MAGIC
from nncodec.format.members import Member
from nncodec.format.source import (
    DTYPES,
    FORMATS,
    NPZ_FORMATS,
    VALUES,
    ArraySource,
    CoverageSource,
    Source,
    itemsize,
)
from nncodec.model.model import id_of_numbers
from nncodec.model.packing import checksum_of, pack_embedded, pack_model
from tests.forged import framed, plain_container, plain_header
from tests.fuzz import CORPUS
from tests.fuzz.targets import MAX_BITS, models
from tests.golden import ROOT
from tests.sample_networks import causal_network, random_network
from tests.samples import random_model

NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 2047, 2048, 4096, 1 << 14, (1 << 14) + 1)
LARGE_NUMBERS = tuple(
    (1 << bits) + off for bits in (20, 22, 28, 31, 32, 53, 62, 63) for off in (-1, 0)
)
BYTES = (0, 1, 0x7F, 0x80, 0xFF)
MODEL_DTYPES = (
    *("I8", "U8", "I16", "U16", "I32", "I64", "U64", "F16", "BF16", "F32", "F64", "BOOL"),
    *("F8_E4M3", "F8_E5M2", "C64", "I4", "X"),
)
JSON_VALUES: tuple[Any, ...] = (None, True, -1, 0, 1, 2, 1e999, 1 << 70, "", "é\n", [], {}, [[1]])


@cache
def good_files(target: str) -> list[bytes]:
    """Whole files to begin with: golden ones, and what is kept of earlier runs."""
    kept = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    if target in ("container", "forged"):
        return [path.read_bytes() for path in sorted(ROOT.glob("*/bitstream.bin"))] + kept
    if target == "model":
        made = [random_model(1, 1), random_model(2, 3, network=False), random_model(3, 2, 5)]
        networks = [causal_network(2, 3), *(random_network(2, 3, seed) for seed in range(6))]
        made += [replace(random_model(2, 3), network=network) for network in networks]
        return [pack_model(model) for model in made] + kept
    return [*_code_files(), *kept]


def _good_file(random: Random, target: str) -> bytes:
    return random.choices(good_files(target), cum_weights=_weights(target))[0]


@cache
def _weights(target: str) -> list[float]:
    """Small files are decoded in less time, and more of their bits matter."""
    return list(itertools.accumulate(1 / (100 + len(data)) for data in good_files(target)))


def damaged(random: Random, target: str) -> bytes:
    """A file with some bytes changed, and nothing repaired."""
    data = _good_file(random, target)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_DAMAGES)(random, data, good_files(target))
    return data


def forged(random: Random, target: str) -> bytes:
    """A file that was changed by someone who knows its form."""
    if target in ("container", "forged"):
        if random.random() < 0.5:
            forge = random.choice((_forged_container, _forged_members))
            return forge(random)
        return repaired_container(_edited_header(random, _good_file(random, target)))
    if target == "model":
        return _forged_model(random)
    return _forged_npy(random)


def mutation(random: Random, target: str) -> bytes:
    """A damaged or forged file, as the target is about."""
    if target == "container":
        return damaged(random, target)
    if target == "forged" or random.random() < 0.5:
        return forged(random, target)
    return damaged(random, target)


def one_change(random: Random, target: str, data: bytes) -> bytes:
    """A file a little different from one that is given, repaired where its target is about that."""
    if target == "forged":
        return repaired_container(_edited_header(random, data))
    data = random.choice(_DAMAGES)(random, data, [data])
    return repaired_model(data) if target == "model" and random.random() < 0.7 else data


# --- any bytes ---------------------------------------------------------------------------------


def _flip(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return _with(data, at := _place(random, data), bytes([data[at] ^ 1 << random.randrange(8)]))


def _set(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    byte = random.choice((*BYTES, random.randrange(256)))
    return _with(data, _place(random, data), bytes([byte]))


def _insert(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.randbytes(random.choice((1, 2, 4, 40))) + data[at:]


def _delete(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + data[at + random.choice((1, 2, 4, 40)) :]


def _cut(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def _repeat(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    begin = random.randint(0, len(data))
    end = min(len(data), begin + random.choice((1, 4, 6, 64)))
    at = random.randint(0, len(data))
    return data[:at] + data[begin:end] + data[at:]


def _splice(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


def _place(random: Random, data: bytes) -> int:
    """Of a byte; more often near the beginning, where headers are."""
    most = len(data) if random.random() < 0.5 else min(len(data), 80)
    return random.randrange(max(most, 1))


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _on_bytes(change: Callable[[Random, bytes, Sequence[bytes]], bytes]) -> Any:
    return lambda random, data, others: change(random, data or b"\0", others)


_DAMAGES = [_on_bytes(_flip)] * 4 + [_on_bytes(_set)] * 2
_DAMAGES += [_insert, _delete, _cut, _repeat, _splice]


# --- containers --------------------------------------------------------------------------------


def repaired_container(data: bytes) -> bytes:
    """The same, with the length and the checksum that its header should have."""
    version, body, rest = _parts(data)
    return framed(body, version) + rest


def _parts(data: bytes) -> tuple[int, bytes, bytes]:
    """Version, body, and what follows the header."""
    at = len(MAGIC)
    version = data[at] if len(data) > at else 1
    at, size, shift = at + 1, 0, 0
    while at < len(data):
        byte = data[at]
        size |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80 or shift > 28:
            break
    return version, data[at : at + size], data[at + size + 4 :]


def _edited_header(random: Random, data: bytes) -> bytes:
    version, body, rest = _parts(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randint(0, len(body))
        number = varint(random.choice(NUMBERS + LARGE_NUMBERS) & (1 << 63) - 1)
        kind = random.randrange(4)
        if kind == 0:
            body = body[:at] + number + body[at + 1 :]
        elif kind == 1:
            body = body[:at] + number + body[at:]
        else:
            body = random.choice(_DAMAGES)(random, body, [body])
    if random.random() < 0.1:
        version = random.choice((0, 2, 255))
    if random.random() < 0.2:
        rest = random.choice(_DAMAGES)(random, rest, [rest])
    return framed(body, version) + rest


def _forged_container(random: Random) -> bytes:
    """A header without contradictions, and any payloads."""
    model = random.choice([None, None, *models().values()])
    channels = model.channels if model else random.choice((1, 2, 3, 8, 31, 64, 65, 130))
    layers = random.randint(1, model.layers + random.randrange(2) if model else 9)
    sizes = [random.choice((1, 1, 2, 3, 7, 20)) for _ in range(3)]
    while layers * channels * math.prod(sizes) > MAX_BITS:
        sizes[sizes.index(max(sizes))] = 1
        layers = max(1, layers // 2)
    if random.random() < 0.05 and not model:
        layers, sizes, channels = random.choice(((900, [1, 1, 1], 2), (1, [1, 2000, 1], 1)))
    segments, payloads = [], []
    decisions: tuple[bool, ...] | None = None
    left = layers
    if random.random() < 0.4:
        left = random.randint(0, layers)
        decisions = tuple(random.random() < 0.5 for _ in range(left))
    held_layers = left
    while left:
        count = random.randint(1, left) if random.random() < 0.7 else left
        bits, stored = count * channels * math.prod(sizes), random.random() < 0.2
        most = min(4 * bits + 16, bits // 2 + 16)
        packed = stored and not any((decisions or ())[: held_layers - left + count])
        size = (bits + 7) // 8 if packed else random.randint(0, most)
        byte = random.choice((None, None, 0, 255))
        payload = random.randbytes(size) if byte is None else bytes([byte]) * size
        segments.append(Segment(count, stored, size, random.getrandbits(32)))
        payloads.append(payload)
        left -= count
    held = pack_embedded(model) if model and random.random() < 0.2 else b""
    shape = (layers, sizes[0], sizes[1], sizes[2], channels)
    model_id = model.model_id if model else b""
    while True:
        try:
            source, sequence = _source(random), random.random() < 0.5
            header = plain_header(shape, source, model_id, segments, len(held), sequence, decisions)
        except CodesError:  # axes that the shape does not have, or a source that cannot be
            continue
        return pack(plain_container(header, payloads, held))


def _forged_members(random: Random) -> bytes:
    """The same of pictures of several sizes, in groups, with members."""
    model = random.choice([None, None, *models().values()])
    channels = model.channels if model else random.choice((1, 3, 18, 65))
    layers = random.randint(1, min(model.layers, 4) if model else 4)
    sizes = [
        [random.choice((1, 1, 2, 3, 5)) for _ in range(3)] for _ in range(random.randint(1, 6))
    ]
    extent = Extent.of_shapes([(layers, *size, channels) for size in sizes])
    counts, left = [], extent.pictures
    while left:
        counts.append(random.randint(1, left))
        left -= counts[-1]
    groups, parts = [], []
    for number, part in enumerate(extent.cut(counts)):
        bits, stored = part.bits, random.random() < 0.3
        size = (bits + 7) // 8 if stored else random.randint(0, bits // 2 + 16)
        segment = Segment(layers, stored, size, random.getrandbits(32))
        groups.append(Group(part.pictures, (segment,)))
        parts.append(Part(number, [random.randbytes(size)]))
    sequence, model_id = random.random() < 0.5, model.model_id if model else b""
    named = random.random() < 0.5
    members = tuple(
        Member((size[0],), Source(), f"a/{number}" if named else "")
        for number, size in enumerate(sizes)
    )
    header = Header(extent, Source(), model_id, tuple(groups), 0, sequence, members)
    return pack(Container(header, parts))


def _source(random: Random) -> Source:
    names = ("", "codes", "arr_0", "é" * 20, "a/b.npy", "..")
    dtype, values = random.choice(DTYPES), random.choice(VALUES)
    form = random.choice(FORMATS)
    some = "".join(random.sample(LETTERS, random.randint(1, len(LETTERS))))
    axes = random.choice((*COMMON_AXES, *("ltc", "thwc", "tncwh", some)))
    named = form in ("npz", "safetensors") or random.random() < 0.2
    array = ArraySource(
        format=form,
        axes=axes,
        dtype=dtype,
        values=values,
        name=random.choice(names) if named else "",
        patterns=random.randbytes(2 * itemsize(dtype)) if values == "pair" else b"",
        shape_name="shape of" if named and form in ("packed", "flat") else "",
        shape_dtype=random.choice(DTYPES) if form == "flat" else "",
        frames=random.randint(1, 3) if {"n", "t"} <= set(axes) else 0,
        coverage=_coverage(random) if form in NPZ_FORMATS and random.random() < 0.3 else None,
    )
    return Source((array,), random.choice((b"", b"", pack_extras({"x": b"1"}), b"\x78\x9c")))


def _coverage(random: Random) -> CoverageSource:
    axes = (random.random() < 0.8, random.random() < 0.8, random.random() < 0.8)
    dtypes = [dtype for dtype in DTYPES if dtype[1] != "f"]
    return CoverageSource(random.choice(dtypes), axes, random.choice(("coverage", "codes", "é")))


# --- models ------------------------------------------------------------------------------------


def repaired_model(data: bytes) -> bytes:
    """The same, with the id and the checksum that it should have, if it can be read at all."""
    try:
        arrays = safetensors.numpy.load(data)
        length = int.from_bytes(data[:8], "little")
        texts = json.loads(data[8 : 8 + length])["__metadata__"]
        texts["model_id"] = id_of_numbers(arrays, texts["network"]).hex()
        texts["checksum"] = checksum_of(texts)
        return safetensors.numpy.save(arrays, metadata=texts)
    except Exception:  # whatever damage does to these
        return data


def _forged_model(random: Random) -> bytes:
    data = _good_file(random, "model")
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        texts = header["__metadata__"]
        arrays = safetensors.numpy.load(data)
    except Exception:  # a kept file that is damaged
        return repaired_model(random.choice(_DAMAGES)(random, data, [data]))
    kind = random.randrange(5)
    if kind == 0:  # values
        for name in random.sample(sorted(arrays), random.randint(1, min(3, len(arrays)))):
            arrays[name] = _other_values(random, arrays[name])
    elif kind == 1:  # shapes and types
        name = random.choice(sorted(arrays))
        arrays[name] = _other_form(random, arrays[name])
    elif kind == 2:  # which arrays
        name = random.choice(sorted(arrays))
        array = arrays.pop(name)
        if random.random() < 0.7:
            others = (name + "s", "start.", "network.x", "network.0.x", *arrays)
            arrays[random.choice(others)] = array
    elif kind == 3:  # texts
        _edit_texts(random, texts)
    else:  # what the header says of the arrays
        _edit_json(random, header)
        head = json.dumps(header).encode()
        raw = len(head).to_bytes(8, "little") + head + data[8 + length :]
        return repaired_model(raw) if random.random() < 0.8 else raw
    try:
        raw = safetensors.numpy.save(arrays, metadata=texts)
    except Exception:  # what safetensors itself does not take
        return data
    return repaired_model(raw)


def _other_values(random: Random, array: np.ndarray) -> np.ndarray:
    array = array.copy()
    if not array.size or array.dtype.kind not in "iu":
        return array
    limits = np.iinfo(array.dtype)
    flat = array.reshape(-1)
    values = (limits.min, limits.max, 0, 1, -1, flat.min(), flat.max(), -flat.max() // 2)
    value = max(int(limits.min), min(int(limits.max), int(random.choice(values))))
    if random.random() < 0.5:
        flat[:] = value
    else:
        flat[random.randrange(flat.size)] = value
    return array


def _other_form(random: Random, array: np.ndarray) -> np.ndarray:
    kind = random.randrange(5)
    if kind == 0:
        return array.astype(random.choice(("i1", "u1", "i2", "i4", "i8", "f4", "f8", "?")))
    if kind == 1:
        return np.ascontiguousarray(array.T)
    if kind == 2:
        return array.reshape(-1)
    axis = random.randrange(array.ndim)
    if kind == 3:
        return np.ascontiguousarray(
            np.take(array, range(random.randrange(max(1, array.shape[axis]))), axis)
        )
    return np.ascontiguousarray(np.repeat(array, random.choice((2, 3)), axis))


def _edit_network(random: Random, value: Any) -> None:
    """Changes something in lists and objects: a value, or which there are."""
    keys = sorted(value) if isinstance(value, dict) else range(len(value))
    key = random.choice(keys)
    number = random.choice(NUMBERS + LARGE_NUMBERS)
    inside = isinstance(value[key], dict | list) and value[key]
    if inside and random.random() < 0.9:
        _edit_network(random, value[key])
    elif type(value[key]) is int and random.random() < 0.7:
        value[key] += random.choice((-2, -1, 1, 2))
    elif isinstance(value, list) and random.random() < 0.4:
        value.insert(random.randint(0, len(value)), value[key])
        if random.random() < 0.5:
            value.pop(random.choice(keys))
    else:
        words = ("convolve", "lstm", "head", "rows", "layers", "linear", "relu", "tanh")
        value[key] = random.choice((number, -number, float(number), *JSON_VALUES, *words))


def _edit_texts(random: Random, texts: dict[str, str]) -> None:
    if random.random() < 0.7 and texts["network"]:
        sizes: Any = json.loads(texts["network"])
        _edit_network(random, sizes)
        texts["network"] = json.dumps(sizes, separators=(",", ":"), sort_keys=True)
        return
    name = random.choice(sorted(texts))
    texts[name] = random.choice(
        (
            "",
            "{}",
            "[]",
            "null",
            "[" * 2000,
            '{"a": 1e999}',
            '{"layers": 1}',
            "\ud7ff",
            "2",
            "0" * 5000,
        )
    )


def _edit_json(random: Random, header: dict[str, Any]) -> None:
    name = random.choice(sorted(header))
    entry = header[name]
    kind = random.randrange(4)
    if kind == 0 or not isinstance(entry, dict):
        header[name] = random.choice(JSON_VALUES)
    elif kind == 1 and "dtype" in entry:
        entry["dtype"] = random.choice(MODEL_DTYPES)
    elif kind == 2 and "shape" in entry:
        size = random.choice(NUMBERS + LARGE_NUMBERS)
        entry["shape"] = random.choice(([], [size], [0, size], [*entry["shape"], 1], [size] * 8))
    else:
        entry[random.choice(sorted(entry) or ["x"])] = random.choice(JSON_VALUES)


# --- code files --------------------------------------------------------------------------------


def _code_files() -> list[bytes]:
    codes = np.random.default_rng(1).integers(0, 2, (2, 1, 3, 4, 2), dtype=np.uint8)
    files = [npy_bytes(codes), npy_bytes(codes[0].astype(">f4")), npy_bytes(codes[0, 0] == 1)]
    packed = {"codes": np.packbits(codes), "shape": np.array(codes.shape)}
    first = codes * (np.arange(2) < 1)[:, None, None, None, None]
    early = {"x": first, "coverage": np.ones((3, 4), dtype=np.int8)}
    for form in (packed, {"x": codes}, early):
        for save in (np.savez, np.savez_compressed):
            stream = io.BytesIO()
            save(stream, **form)
            files.append(stream.getvalue())
    sizes = np.array(codes.shape)
    for form in ({"codes": codes.ravel(), "shape": sizes, "y": sizes / 2}, {"x": 3 * codes}):
        stream = io.BytesIO()
        np.savez(stream, **form)
        files.append(stream.getvalue())
    tensors = {"x": codes.astype(np.float16) - np.float16(0.5), "y": sizes}
    files.append(safetensors.numpy.save(tensors, {"a": "text"}))
    return files


def _forged_npy(random: Random) -> bytes:
    """A `.npy` of any header, and maybe a `.npz` around it."""
    size = random.choice(NUMBERS + LARGE_NUMBERS)
    shape = random.choice(
        ("(2, 3, 4)", "(2, 3, 4,)", f"({size}, 1, 1)", "()", "(0,)", "(-1, 1, 24)")
    )
    shape = random.choice((shape, f"({size},)", "(1, " * 50 + "1)", "[2, 3, 4]", "(True, 3, 8)"))
    kind = random.choice(
        (*DTYPES, "O", "|O8", "<c8", "<M8[s]", "|V8", "<U1", "|S1", "<f1", "x", "'")
    )
    order = random.choice(("False", "True", "None", "1"))
    head = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if random.random() < 0.2:
        head = random.choice(
            (head * 2, head[:-3], "(" * 3000, "{}", "None", "é" + head, "0" * 5000)
        )
    encoded = head.encode("utf-8") + b"\n"
    version = random.choice(
        (b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x00\x00", b"\x04\x01")
    )
    width = 2 if version[0] < 2 else 4
    data = b"\x93NUMPY" + version + (len(encoded) & 0xFFFF).to_bytes(width, "little") + encoded
    data += random.choice((bytes(24), random.randbytes(24), b"\x01" * 192, b"\xff" * 24, b""))
    if random.random() < 0.6:
        return data
    stream = io.BytesIO()
    method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in random.choice(
            (("x",), ("codes", "shape"), ("codes",), ("x", "y"), ("a/../b",))
        ):
            archive.writestr(name + ".npy", data if random.random() < 0.7 else npy_bytes(_SHAPE))
    packed = stream.getvalue()
    return packed if random.random() < 0.7 else random.choice(_DAMAGES)(random, packed, [packed])


_SHAPE = np.array([2, 3, 4])
