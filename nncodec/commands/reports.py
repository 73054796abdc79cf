"""Reports that commands print: facts for --json, tables for people."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import accumulate, zip_longest
from typing import Any

from nncodec.coding.codec import Encoded, LayerSize
from nncodec.errors import ModelError
from nncodec.files.model_files import FoundModel
from nncodec.format.header import VERSION, Header, pack_header
from nncodec.model.model import Model


def container_facts(
    header: Header, model: str, layers: Iterable[LayerSize] | None = None
) -> dict[str, Any]:
    """Gives what --json prints of a container; code lengths only where `layers` has them."""
    if layers is None:
        sizes = zip(header.layer_bytes(), header.layer_stored(), strict=True)
        layers = (
            LayerSize(layer, header.bits_per_layer, size, None, stored)
            for layer, (size, stored) in enumerate(sizes)
        )
    size = len(pack_header(header)) + header.embedded_bytes
    size += sum(segment.byte_length for segment in header.segments)
    return {
        "input_bits": header.bits,
        "output_bytes": size,
        "rate": size * 8 / header.bits,
        "model": model,
        "model_id": header.model_id.hex() or None,
        "model_bytes": header.embedded_bytes,
        "sequence": header.sequence,
        "memory_bound": header.memory_bound,
        "layout": header.source.layout,
        "shape": list(header.shape),
        "layers": [asdict(layer) for layer in layers],
    }


def container_text(label: str, header: Header, model: str) -> str:
    """Describes a container by its header, and names its model as it is called here."""
    facts, source = container_facts(header, model), header.source
    if header.model_id and model != header.model_id.hex():
        model += f", {header.model_id.hex()}"
    if header.embedded_bytes:
        model += f", in the file ({header.embedded_bytes} bytes)"
    form = {"packed": ".npz, packed, with a shape", "tensor": "an array", "npz": ".npz, one array"}
    name = f" named {source.name!a}" if source.format == "npz" else ""
    values = " over -1, +1" if source.signed else ""
    rows: list[dict[str, Any]] = []
    for segment, layers in zip(header.segments, header.segment_layers(), strict=True):
        bits, size = len(layers) * header.bits_per_layer, segment.byte_length
        span = f"{layers[0]}-{layers[-1]}" if len(layers) > 1 else str(layers[0])
        row = {"layers": span, "bits": bits, "bytes": size, "rate": size * 8 / bits}
        rows.append({**row, "stored": segment.stored})
    return (
        f"{label}: nncodec container, version {VERSION}\n"
        f"  codes   {extent(header.shape)} (batch x height x width x bits){frames(header)}\n"
        f"  source  {form.get(source.format, '.npy')}{name}, dtype {source.dtype}{values}, "
        f"{source.axes} axes, {source.layout}\n"
        f"  model   {model}\n"
        f"  size    {header.bits} bits -> {facts['output_bytes']} bytes, rate {facts['rate']:.4f}\n"
        f"  memory  at most {header.memory_bound / 1e6:.0f} MB to decode\n"
        f"{_table(rows)}"
    )


def size_table(encoded: Encoded) -> str:
    """Tabulates bytes beside theory, layer by layer, with the header and the embedded model."""
    rows: list[dict[str, Any]] = []
    for layer in encoded.layers:
        theory, rate = (layer.code_length or 0.0) / 8, layer.bytes * 8 / layer.bits
        row = {"layer": layer.layer, "bits": layer.bits, "bytes": layer.bytes, "theory": theory}
        rows.append({**row, "rate": rate, "stored": layer.stored})
    bits, payloads, theory = (sum(row[key] for row in rows) for key in ("bits", "bytes", "theory"))
    size = len(encoded.data)
    model = encoded.header.embedded_bytes
    if model:
        rows.append({"layer": "model", "bytes": model})
    rows.append({"layer": "header", "bytes": size - payloads - model})
    rate = size * 8 / bits
    rows.append({"layer": "total", "bits": bits, "bytes": size, "theory": theory, "rate": rate})
    return _table(rows)


def totals(results: Sequence[dict[str, Any]], counts: tuple[str, str]) -> dict[str, Any]:
    """Gives what --json prints of files together.

    Args:
        results: the facts of each.
        counts: which of them to add up: code bits and bytes, either first, as "input_bits".
    """
    sums = {key: sum(facts[key] for facts in results) for key in counts}
    bits, size = (sums[key] for key in sorted(counts, key=_unit))
    return {**sums, "rate": size * 8 / bits if bits else None}


def total_text(total: dict[str, Any], done: int, files: int) -> str:
    """Puts `totals` into a line, with how many of the files were done."""
    of_all = f"{done} of " if done < files else ""
    before, after = (f"{total[key]} {_unit(key)}" for key in total if key != "rate")
    title = f"total of {of_all}{counted(files, 'file')}"
    return f"{title}: {before} -> {after}, rate {total['rate']:.4f}"


def evaluation(bits: Sequence[int], lengths: Sequence[float]) -> dict[str, Any]:
    """Gives what --json prints of code lengths; nothing was written, so bytes are unknown."""
    sums = zip(bits, lengths, accumulate(bits), accumulate(lengths), strict=True)
    layers = [
        {
            **{"layer": layer, "bits": count, "bytes": None, "code_length": length},
            **{"stored": None, "rate": length / count, "rate_so_far": lengths_to / bits_to},
        }
        for layer, (count, length, bits_to, lengths_to) in enumerate(sums)
    ]
    rate = sum(lengths) / sum(bits)
    return {"input_bits": sum(bits), "code_length": sum(lengths), "rate": rate, "layers": layers}


def evaluations(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Gives what --json prints of several files: their sums, `files`, and `mean`."""
    by_layer = list(zip_longest(*(facts["layers"] for facts in results), fillvalue={}))
    sums = [
        [sum(row.get(key, 0) for row in rows) for rows in by_layer]
        for key in ("bits", "code_length")
    ]
    means = [{"layer": layer, **_means(rows)} for layer, rows in enumerate(by_layer)]
    mean = {"rate": sum(facts["rate"] for facts in results) / len(results), "layers": means}
    return evaluation(*sums) | {"files": results, "mean": mean}


def evaluation_text(name: str, facts: dict[str, Any]) -> str:
    """Tabulates code lengths and rates, layer by layer."""
    keys = ("layer", "bits", "code_length", "rate", "rate_so_far")
    rows = [{key: row[key] for key in keys if key in row} for row in facts["layers"]]
    lengths = ""
    if "input_bits" in facts:
        lengths = f"{facts['input_bits']} bits, code length {facts['code_length']:.1f} bits, "
    return f"{name}: {lengths}rate {facts['rate']:.4f}\n{_table(rows)}"


def model_facts(models: Iterable[FoundModel]) -> list[dict[str, Any]]:
    """Gives what --json prints of model files; damaged ones have no id.

    Products are the multiply-accumulates of the network for a bit.
    """
    rows = []
    for found in models:
        row: dict[str, Any] = dict.fromkeys(("id", "layers", "layer_depth", "network", "products"))
        model = _loaded(found)
        if model:
            row |= {"id": model.model_id.hex(), "layers": model.layers}
            row |= {"layer_depth": model.channels}
        if model and model.network:
            row |= {"network": str(model.facts.get("model", "unknown"))}
            row |= {"products": round(model.network.products())}
        size = found.path.stat().st_size if found.path.exists() else None
        rows.append({"name": found.name, **row, "bytes": size, "file": str(found.path)})
    return rows


def _loaded(found: FoundModel) -> Model | None:
    """A model, if its file is one; files that make no claims, such as pipes, are left alone."""
    if found.claims():
        with contextlib.suppress(ModelError):
            return found.load()
    return None


def model_table(facts: Sequence[dict[str, Any]]) -> str:
    """Tabulates models, a line each."""
    if not facts:
        return "no models found"
    shown = [{key: "" if value is None else value for key, value in row.items()} for row in facts]
    return _table([{**row, "id": row["id"] or "damaged"} for row in shown])


def extent(shape: Sequence[int]) -> str:
    """Puts the shape of a code tensor into words."""
    layers, *sizes = shape
    return f"{counted(layers, 'layer')} of {' x '.join(map(str, sizes))}"


def frames(header: Header) -> str:
    """Says that the pictures of a container are frames, if they are, as one more item of a list."""
    return ", a sequence" if header.sequence else ""


def counted(number: int, noun: str) -> str:
    """Puts a number before a noun, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _unit(key: str) -> str:
    return key.rpartition("_")[2]


def _means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Takes the means over the files that have a layer."""
    filled = [row for row in rows if row]
    keys = ("code_length", "rate", "rate_so_far")
    return {key: sum(row[key] for row in filled) / len(filled) for key in keys}


def _table(rows: Sequence[dict[str, Any]]) -> str:
    """Aligns rows, in columns by the keys of the first; a column of flags has no title."""

    def cell(key: str, value: object) -> str:
        if isinstance(value, bool):
            return key if value else ""
        if isinstance(value, float):
            return f"{value:.4f}" if key.startswith("rate") else f"{value:.1f}"
        return str(value)

    titles = ["" if isinstance(value, bool) else key for key, value in rows[0].items()]
    lines = [[title.replace("_", " ") for title in titles]]
    lines += [[cell(key, row.get(key, "")) for key in rows[0]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.rjust, line, widths)).rstrip() for line in lines)
