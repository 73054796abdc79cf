"""The rules for networks of version 1, written from FORMAT.md alone: section 10.

What a reader refuses: first by the network's text and the forms of its arrays, then by their
numbers, which lie in the objects of the operations as nested lists.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.reference_numbers import LOGIT_LIMIT, require

MAX_UNITS = 1 << 14
MAX_OPERATIONS = 64
MAX_TAPS = 256
MAX_WIDTH = 1024
MAX_PLANES = 1 << 12

Forms = dict[str, tuple[str, list[int]]]
"""The type and the shape of every array."""

VALUES: dict[str, dict[str, type]] = {
    "convolve": {"taps": list, "earlier": bool, "skip": int, "activation": str},
    "lstm": {"gates": int, "over": str, "width": int},
    "head": {"taps": list, "earlier": bool, "skip": int, "activation": str, "limit": int},
}
"""What the objects of operations have, by their kinds."""

ARRAYS: dict[str, dict[str, tuple[str, str]]] = {
    "convolve": {"weights": ("I8", "SOI"), "scale": ("I32", "LO"), "shift": ("I64", "LO")},
    "lstm": {},
    "head": {
        "unit_weights": ("I8", "SUI"),
        "unit_lower": ("I8", "SUD"),
        "unit_scale": ("I32", "LU"),
        "unit_shift": ("I64", "LU"),
        "weights": ("I8", "TDI"),
        "lower": ("I8", "TDD"),
        "output": ("I8", "LDU"),
        "scale": ("I32", "LD"),
        "output_scale": ("I32", "LD"),
        "shift": ("I64", "LD"),
    },
}
"""Their arrays; here U counts the units of all channels."""


class Plane(NamedTuple):
    """A plane: its width, the largest number in it, which operation writes it."""

    width: int
    largest: int
    writer: int
    cells: bool = False


def network_forms(network: Any, forms: Forms, layers: int, channels: int) -> Forms:
    """The forms that the arrays of a network must have; refuses a text that is none."""
    require(isinstance(network, dict), "the network is no object")
    require(set(network) == {"layers", "channels", "operations"}, "the network has other keys")
    sizes = [network["layers"], network["channels"]]
    require(all(type(size) is int for size in sizes), "the sizes are no numbers")
    require(sizes == [layers, channels], "the sizes are others")
    require(layers * channels <= MAX_UNITS, "there are too many units")
    operations = network["operations"]
    require(isinstance(operations, list), "the operations are no list")
    require(1 <= len(operations) <= MAX_OPERATIONS, "there are too many operations")
    for operation in operations:
        _check_values(operation)
    kinds = [operation["operation"] for operation in operations]
    require(kinds.index("head") == len(kinds) - 1 if "head" in kinds else False, "no head ends it")

    planes = _planes(network, [_shape(forms, number) for number in range(len(kinds))])
    require(all(plane.width <= MAX_WIDTH for plane in planes[1:]), "a plane is too wide")
    require(sum(plane.width for plane in planes[1:]) <= MAX_PLANES, "the planes are too wide")
    expected: Forms = {}
    for number, operation in enumerate(operations):
        if operation["operation"] == "lstm":
            continue
        for plane, *_ in operation["taps"]:
            require(0 <= plane < len(planes), "a plane does not exist")
        head = operation["operation"] == "head"
        sets, outputs, _ = _shape(forms, number)
        unit_sets, units, _ = _shape(forms, number, "unit_weights") if head else (1, 0, 0)
        sizes_of = {"L": layers, "D": channels, "O": outputs, "U": units, "T": sets}
        sizes_of |= {"S": unit_sets if head else sets}
        sizes_of["I"] = len(_largest_seen(network, operation, planes))
        require({sets, unit_sets} <= {1, layers}, "there are other sets of weights")
        require(head or 1 <= outputs <= MAX_WIDTH, "a plane has another width")
        require(units % channels == 0 and units <= MAX_WIDTH * channels, "there are other units")
        for name, (kind, letters) in ARRAYS[operation["operation"]].items():
            expected[f"network.{number}.{name}"] = kind, [sizes_of[letter] for letter in letters]
    return expected


def _shape(forms: Forms, number: int, name: str = "weights") -> list[int]:
    shape = forms.get(f"network.{number}.{name}", ("", [0, 0, 0]))[1]
    require(len(shape) == 3, "weights have other axes")
    return shape


def _check_values(operation: Any) -> None:
    """Holds that an operation has the keys of its kind, and values of their types."""
    require(isinstance(operation, dict), "an operation is no object")
    kind = operation.get("operation")
    require(isinstance(kind, str) and kind in VALUES, "there is no such operation")
    require(set(operation) == {"operation", *VALUES[kind]}, "an operation has other keys")
    for name, expected in VALUES[kind].items():
        require(type(operation[name]) is expected, f"{name} is of another type")
    if kind == "lstm":
        require(operation["over"] in ("rows", "layers"), "an lstm goes over something else")
        require(1 <= operation["width"] <= MAX_WIDTH, "an lstm has another width")
        return
    require(len(operation["taps"]) <= MAX_TAPS, "there are too many taps")
    for tap in operation["taps"]:
        whole = isinstance(tap, list) and len(tap) == 5 and all(type(n) is int for n in tap)
        require(whole, "a tap is no five integers")
    require(operation["activation"] in ("linear", "relu", "tanh"), "there is no such activation")
    require(1 <= operation.get("limit", 1) <= LOGIT_LIMIT, "there is no such limit")


def _planes(network: Mapping[str, Any], shapes: list[list[int]]) -> list[Plane]:
    planes = [Plane(network["channels"], 256, -1)]
    for number, operation in enumerate(network["operations"]):
        if operation["operation"] == "convolve":
            planes.append(Plane(shapes[number][1], _largest(operation), number))
        elif operation["operation"] == "lstm":
            planes.append(Plane(operation["width"], 256, number))
            planes.append(Plane(operation["width"], 0, number, cells=True))
    return planes


def _largest(operation: Mapping[str, Any]) -> int:
    """What an activation gives at most."""
    return 256 if operation["activation"] == "tanh" else LOGIT_LIMIT


def _largest_seen(
    network: Mapping[str, Any], operation: Mapping[str, Any], planes: list[Plane]
) -> list[int]:
    """The largest number that every input can be."""
    largest: list[int] = []
    for plane, *_ in operation["taps"]:
        largest += [planes[plane].largest] * planes[plane].width
    if operation["earlier"]:
        largest += [256] * network["channels"] * (network["layers"] - 1)
    return largest


def check_network(network: Mapping[str, Any]) -> None:
    """Refuses a network of right forms that breaks another rule."""
    operations = network["operations"]
    shapes = [[0, len(one["weights"][0]), 0] if "weights" in one else [] for one in operations]
    planes = _planes(network, shapes)
    early: list[bool] = []
    for number in range(len(operations)):
        early.append(_check_seen(number, operations, planes, early))
    require(_rows_below(operations, planes, early) <= 3, "too many rows below are seen")
    for operation in operations:
        if operation["operation"] == "convolve":
            skipped = planes[operation["skip"]].largest << 24 if operation["skip"] else 0
            _check_convolve(network, operation, planes, skipped)
        elif operation["operation"] == "head":
            skipped = planes[operation["skip"]].largest << 24 if operation["skip"] else 0
            _check_head(network, operation, planes, skipped)


def _check_seen(
    number: int, operations: list[dict[str, Any]], planes: list[Plane], early: list[bool]
) -> bool:
    """Holds that an operation sees what it may; says whether it is early."""
    operation = operations[number]
    kind = operation["operation"]

    def before(plane: int, width: int) -> bool:
        """Whether a plane of this width is one that is early."""
        require(1 <= plane < len(planes) and not planes[plane].cells, "there is no such plane")
        require(planes[plane].writer < number, "the plane is written later")
        require(planes[plane].width == width, "the plane has another width")
        return early[planes[plane].writer]

    if kind == "lstm":
        is_early = before(operation["gates"], 4 * operation["width"])
        require(is_early or operation["over"] == "rows", "an lstm over layers is not early")
        return is_early
    is_early, fed_back = kind == "convolve", False
    for plane, frames, layers, down, right in operation["taps"]:
        require(not planes[plane].cells, "cells are seen")
        require(max(abs(down), abs(right)) <= 3, "no tap goes so far")
        require(0 <= frames <= MAX_TAPS and 0 <= layers <= MAX_TAPS, "no tap goes so far back")
        elsewhere = frames > 0 or layers > 0
        writer = planes[plane].writer
        before_it = 0 <= writer < number
        is_early = is_early and (elsewhere or (before_it and early[writer]))
        to_the_left = down == 0 and right < 0
        if plane == 0:
            require(elsewhere or down < 0 or to_the_left, "a bit is not known")
        elif elsewhere:
            require((frames, layers, down, right) == (0, 1, 0, 0), "there is nothing to be seen")
            over_layers = operations[writer].get("over") == "layers"
            require(over_layers and number < writer, "there is nothing to be seen")
            fed_back = True
        elif down >= 0:
            at_it = to_the_left or (down == 0 and right == 0)
            require(before_it and (early[writer] or at_it), "a number is not known")
    if operation["skip"]:
        width = len(operation["weights"][0])
        is_early = before(operation["skip"], width) and is_early
    require(is_early or not fed_back, "a number of the layer before may be gone")
    return is_early


def _rows_below(operations: list[dict[str, Any]], planes: list[Plane], early: list[bool]) -> int:
    ahead = [0] * len(operations)
    below = 0
    for number in reversed(range(len(operations))):
        operation = operations[number]
        taps = operation.get("taps", [])
        fed_back = [planes[plane].writer for plane, _, layers, *_ in taps if plane and layers]
        ahead[number] = max([ahead[number], *(ahead[writer] for writer in fed_back)])
        seen = [(plane, down) for plane, _, layers, down, _ in taps if plane and not layers]
        seen += [(operation[name], 0) for name in ("skip", "gates") if operation.get(name)]
        for plane, down in seen:
            writer = planes[plane].writer
            if writer < number and early[writer]:
                ahead[writer] = max(ahead[writer], ahead[number] + max(down, 0))
        downs = [down for plane, frames, _, down, _ in taps if not plane and not frames]
        below = max([below, *(ahead[number] + down for down in [0, *downs])])
    return below


def _check_convolve(
    network: Mapping[str, Any], operation: Mapping[str, Any], planes: list[Plane], skipped: int
) -> None:
    largest = _largest_seen(network, operation, planes)
    sums = _sums(operation["weights"], largest)
    for layer, o in _outputs(network, operation["scale"]):
        scaled = _of(sums, layer)[o] * abs(operation["scale"][layer][o])
        _require_exact(scaled + abs(operation["shift"][layer][o]) + skipped)


def _check_head(
    network: Mapping[str, Any], head: Mapping[str, Any], planes: list[Plane], skipped: int
) -> None:
    channels, largest = network["channels"], _largest_seen(network, head, planes)
    units = len(head["unit_scale"][0])
    of_channel = units // channels
    for name, used in (
        ("unit_lower", lambda unit, channel: channel < unit // of_channel),
        ("lower", lambda channel, lower: lower < channel),
        ("output", lambda channel, unit: unit // of_channel <= channel),
    ):
        for weights in head[name]:
            for o, row in enumerate(weights):
                unused = [weight for i, weight in enumerate(row) if not used(o, i)]
                require(not any(unused), f"{name} uses what is not known")
    bits = [256] * channels
    unit_sums = _sums(head["unit_weights"], largest, head["unit_lower"], bits)
    sums = _sums(head["weights"], largest, head["lower"], bits)
    output_sums = _sums(head["output"], [_largest(head)] * units)
    for layer, unit in _outputs(network, head["unit_scale"]):
        scaled = _of(unit_sums, layer)[unit] * abs(head["unit_scale"][layer][unit])
        _require_exact(scaled + abs(head["unit_shift"][layer][unit]))
    for layer, c in _outputs(network, head["scale"]):
        scaled = _of(sums, layer)[c] * abs(head["scale"][layer][c])
        scaled += output_sums[layer][c] * abs(head["output_scale"][layer][c])
        _require_exact(scaled + abs(head["shift"][layer][c]) + skipped)


def _sums(
    weights: list[list[list[int]]],
    largest: list[int],
    more: list[list[list[int]]] | None = None,
    largest_more: list[int] | None = None,
) -> list[list[int]]:
    """The largest sums of every set, with those of other weights that are added."""
    sums = [[_sum(row, largest) for row in rows] for rows in weights]
    if more is not None and largest_more is not None:
        added = _sums(more, largest_more)
        both = zip(sums, added, strict=True)
        sums = [[a + b for a, b in zip(*rows, strict=True)] for rows in both]
    require(all(one < 1 << 31 for row in sums for one in row), "a sum is too large")
    return sums


def _sum(weights: list[int], largest: list[int]) -> int:
    return sum(abs(weight) * most for weight, most in zip(weights, largest, strict=True))


def _outputs(network: Mapping[str, Any], scale: list[list[int]]) -> Iterator[tuple[int, int]]:
    for layer in range(network["layers"]):
        for o in range(len(scale[layer])):
            yield layer, o


def _of(sets: list[list[int]], layer: int) -> list[int]:
    return sets[layer if len(sets) > 1 else 0]


def _require_exact(largest: int) -> None:
    require(largest < 1 << 62, "a number is too large")
