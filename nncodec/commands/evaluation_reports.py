"""Reports of code lengths, of which nothing was written."""

from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest
from typing import Any

from nncodec.commands.reports import rate_of, table


def evaluation(bits: Sequence[int], lengths: Sequence[float]) -> dict[str, Any]:
    """Gives what --json prints of code lengths; nothing was written, so bytes are unknown."""
    sums = zip(bits, lengths, accumulate(bits), accumulate(lengths), strict=True)
    layers = [
        {
            **{"layer": layer, "bits": count, "bytes": None, "code_length": length},
            **{"stored": None, "rate": rate_of(length, count)},
            **{"rate_so_far": rate_of(lengths_to, bits_to)},
        }
        for layer, (count, length, bits_to, lengths_to) in enumerate(sums)
    ]
    rate = rate_of(sum(lengths), sum(bits))
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
    return f"{name}: {lengths}rate {facts['rate']:.4f}\n{table(rows)}"


def _means(rows: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Takes the means over the files that have a layer."""
    filled = [row for row in rows if row]
    keys = ("code_length", "rate", "rate_so_far")
    return {key: sum(row[key] for row in filled) / len(filled) for key in keys}
