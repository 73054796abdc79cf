"""Where the bits of a container go: by layer, and by position."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nncodec.coding.codec import traverse_known
from nncodec.coding.groups import share_bytes, shortest_payload
from nncodec.coding.range_coder import code_lengths
from nncodec.coding.segments import CodedSegment
from nncodec.coding.threads import Threads
from nncodec.files.model_choice import Predictor
from nncodec.format.code_tensor import ABSENT, Codes
from nncodec.format.extent import Extent
from nncodec.format.limits import check_limits


@dataclass(frozen=True)
class Spent:
    """What a code tensor takes.

    Attributes:
        code_lengths: float64 [layers], in bits.
        disk_rates: the bits of payload for each code bit, of every layer; layers that share a
            payload share its bytes by their code lengths.
        theory_rates: the code length for each code bit, of every layer.
        positions: float32 [layers, height, width], the bits spent at each position of the first
            picture.
        layer_depth: the code bits of a position.
    """

    code_lengths: npt.NDArray[np.float64]
    disk_rates: list[float]
    theory_rates: list[float]
    positions: npt.NDArray[np.float32]
    layer_depth: int


def measure_spent(codes: Codes, predictor: Predictor, threads: Threads) -> Spent:
    """Measures what a code tensor takes, on disk and in theory, layer by layer and place by place.

    Args:
        codes: uint8 {0, 1}, or ABSENT, [layers, batch, height, width, layer_depth].
        predictor: what predicts its bits.
        threads: that work side by side.

    Raises:
        CodesError: the tensor is above a limit of the format.
        ModelError: the model does not fit the codes.
    """
    check_limits(Extent.of_shape(codes.shape))
    lengths: list[float] = []
    disk: list[float] = []
    positions: list[npt.NDArray[np.float32]] = []

    def measure(segment: CodedSegment) -> None:
        bits, costs = segment.bits(), segment.code_lengths()
        coded, stored = shortest_payload(segment)
        shares = share_bytes(len(coded), bits if stored else costs)
        disk.extend(share * 8 / count for share, count in zip(shares, bits, strict=True))
        lengths.extend(costs)
        spent = code_lengths(segment.codes[:, 0], segment.frequencies[:, 0]).sum(axis=-1)
        if segment.marks is not None and segment.decisions is not None:
            first = slice(spent[0].size)
            decisions = code_lengths(segment.marks[:, first], segment.decisions[:, first])
            spent += decisions.reshape(spent.shape)
        positions.append(spent)

    traverse_known(codes, predictor.model, measure, sequence=predictor.sequence, threads=threads)
    missing = len(codes) - len(lengths)  # layers that no position has
    lengths += [0.0] * missing
    disk += [0.0] * missing
    positions.append(np.zeros((missing, *codes.shape[2:4]), dtype=np.float32))
    counts = np.count_nonzero(codes != ABSENT, axis=(1, 2, 3, 4)).tolist()
    theory = [length / max(count, 1) for length, count in zip(lengths, counts, strict=True)]
    return Spent(np.array(lengths), disk, theory, np.concatenate(positions), codes.shape[-1])
