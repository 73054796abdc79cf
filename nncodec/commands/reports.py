"""Reports that commands print: facts for --json, tables for people."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy.typing as npt

from nncodec.coding.codec import Encoded, LayerSize
from nncodec.commands.layer_reports import header_layers, segment_rows
from nncodec.errors import ModelError
from nncodec.files.model_files import FoundModel
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.format.container import packed_bytes
from nncodec.format.header import VERSION, Header
from nncodec.format.source import Source
from nncodec.model.model import Model

NOT_SAID = (
    "positions end early, and no array of the original says where; bits beyond are written as 0 "
    "(nncodec.decode_covered in Python says which they are)"
)
"""What the user of a container has to know that was made with a coverage from elsewhere."""


def container_facts(
    header: Header, model: str, layers: Iterable[LayerSize] | None = None
) -> dict[str, Any]:
    """Gives what --json prints of a container; without `layers` what its header says."""
    bits = header.coded_bits
    size = packed_bytes(header)
    return {
        "input_bits": bits,
        "output_bytes": size,
        "rate": rate_of(8 * size, bits),
        "model": model,
        "model_id": header.model_id.hex() or None,
        "model_bytes": header.embedded_bytes,
        "sequence": header.sequence,
        "ends_early": header.ends_early,
        "memory_bound": header.memory_bound,
        **source_facts(header.file_source),
        "shape": list(header.shape) if len(header.extent.runs) == 1 else None,
        "layers": header_layers(header) if layers is None else [asdict(one) for one in layers],
    }


def model_text(header: Header, model: str) -> str:
    """Names the model of a container, as it is called here and by its id; and where it lies."""
    if header.model_id and model != header.model_id.hex():
        model += f", {header.model_id.hex()}"
    if header.embedded_bytes:
        model += f", in the file ({header.embedded_bytes} bytes)"
    return model


def container_text(label: str, header: Header, model: str) -> str:
    """Describes a container by its header, and names its model as it is called here."""
    facts = container_facts(header, model)
    rows = segment_rows(header)
    unknown = ""
    if any(row.get("bits") == "?" for row in rows):
        unknown = "; which layer has how many bits is not stored"
    return (
        f"{label}: nncodec container, version {VERSION}\n"
        f"  codes   {extent(header.shape)} (batch x height x width x bits){frames(header)}\n"
        f"  source  {source_text(header.source)}\n"
        f"  model   {model_text(header, model)}\n"
        f"{coverage_line(header, unknown)}"
        f"  size    {header.coded_bits} bits -> {facts['output_bytes']} bytes, "
        f"rate {facts['rate']:.4f}\n"
        f"  memory  at most {header.memory_bound / 1e6:.0f} MB to decode\n"
        f"{table(rows) if header.segments else '  no layers'}"
    )


def containers_facts(
    containers: Sequence[tuple[str, Header, str]], failed: Sequence[dict[str, str]]
) -> dict[str, Any]:
    """Gives what --json prints of several containers: their sums, and the facts of each.

    Args:
        containers: of each its label, its header, and the name of its model.
        failed: what is said of others.
    """
    files = [
        {"file": label, **container_facts(header, model)} for label, header, model in containers
    ]
    return totals(files, ("input_bits", "output_bytes")) | {"files": [*files, *failed]}


def containers_table(containers: Sequence[tuple[str, Header, str]]) -> str:
    """Tabulates containers, a line each, and their sums."""
    rows: list[dict[str, Any]] = []
    for label, header, model in containers:
        facts = container_facts(header, model)
        rows.append(
            {
                "file": label,
                "codes": shapes_text([one.shape for one in header.array_extents]),
                "axes": facts["axes"],
                "model": model,
                "bits": facts["input_bits"],
                "bytes": facts["output_bytes"],
                "rate": facts["rate"],
            }
        )
    bits, size = (sum(row[key] for row in rows) for key in ("bits", "bytes"))
    title = f"total of {counted(len(rows), 'file')}"
    rows.append({"file": title, "bits": bits, "bytes": size, "rate": rate_of(8 * size, bits)})
    return table(rows)


def source_facts(source: Source) -> dict[str, Any]:
    """Gives what --json prints of a source: its axes, and the order of the bits of tokens."""
    first = source.first
    return {"axes": first.array_axes, "bit_order": first.values if first.is_tokens else None}


def source_text(source: Source) -> str:
    """Describes what codes were made from."""
    first = source.first
    forms = {"npy": ".npy", "npz": ".npz, array", "safetensors": ".safetensors, tensor"}
    forms |= {"packed": ".npz, packed", "flat": ".npz, flat", "tensor": "an array"}
    name = f" {first.array_names[0]!a}" if first.format not in ("npy", "tensor") else ""
    values = {"signed": " over -1, +1", "pair": " over two values"}.get(first.values, "")
    if first.is_tokens:
        values = f", tokens, {first.values}"
    more = f", coverage {first.coverage.name!a}" if first.coverage else ""
    more += " and other arrays" if source.extras else ""
    return (
        f"{forms[first.format]}{name}, dtype {first.dtype}{values}, axes {first.array_axes}{more}"
    )


def size_table(encoded: Encoded) -> str:
    """Tabulates bytes beside theory, layer by layer, with the header and the embedded model."""
    rows: list[dict[str, Any]] = []
    for layer in encoded.layers:
        theory, rate = (layer.code_length or 0.0) / 8, rate_of(layer.bytes * 8, layer.bits)
        row = {"layer": layer.layer, "bits": layer.bits, "bytes": layer.bytes, "theory": theory}
        rows.append({**row, "rate": rate, "stored": layer.stored})
    bits, payloads, theory = (sum(row[key] for row in rows) for key in ("bits", "bytes", "theory"))
    size = len(encoded.data)
    model = encoded.header.embedded_bytes
    if model:
        rows.append({"layer": "model", "bytes": model})
    rows.append({"layer": "header", "bytes": size - payloads - model})
    rate = rate_of(size * 8, bits)
    rows.append({"layer": "total", "bits": bits, "bytes": size, "theory": theory, "rate": rate})
    return table(rows)


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


def speed_text(facts: dict[str, Any], seconds: float) -> str:
    """Says how fast files were, of which `facts` has the code bits."""
    bits = facts["input_bits"] if "input_bits" in facts else facts["output_bits"]
    return f", in {seconds:.2f} s, {bits / max(seconds, 1e-6) / 1e6:.2f} Mbit/s"


def rate_of(length: float, bits: int) -> float:
    """Bits out for each code bit; 0 without any."""
    return length / bits if bits else 0.0


def coverage_line(header: Header, more: str = "") -> str:
    """Says which layers positions have, as far as a header tells, and more, if they end early."""
    if not header.ends_early:
        return ""
    most = max(sum(one.layers for one in group.segments) for group in header.groups)
    whole = min(group.whole_layers for group in header.groups)
    mean = header.coded_bits / header.bits_per_layer
    return (
        f"  ends    positions end early: each has {whole} to {counted(most, 'layer')}, in the mean "
        f"{mean:.2f}{more}\n"
    )


def loses_coverage(tensors: Sequence[Codes], source: Source) -> bool:
    """Whether positions of decoded codes end early, and their file will not say where."""
    return not source.first.coverage and any(bool((one == ABSENT).any()) for one in tensors)


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
    return table([{**row, "id": row["id"] or "damaged"} for row in shown])


def extent(shape: Sequence[int]) -> str:
    """Puts the shape of a code tensor into words."""
    layers, *sizes = shape
    return f"{counted(layers, 'layer')} of {' x '.join(map(str, sizes))}"


def extents_text(tensors: Sequence[npt.NDArray[Any]]) -> str:
    """Puts the shape of the first of some code tensors into words, and how many more there are."""
    more = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
    return extent(tensors[0].shape) + more


def shapes_text(shapes: Sequence[Sequence[int]]) -> str:
    """Names a shape, and how many more there are."""
    more = f" and {len(shapes) - 1} more" if len(shapes) > 1 else ""
    return " x ".join(map(str, shapes[0])) + more


def frames(header: Header) -> str:
    """Says that the pictures of a container are frames, if they are, as one more item of a list."""
    return ", a sequence" if header.sequence else ""


def counted(number: int, noun: str) -> str:
    """Puts a number before a noun, in the plural unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _unit(key: str) -> str:
    return key.rpartition("_")[2]


def table(rows: Sequence[dict[str, Any]]) -> str:
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
