"""The layers' weights from which the adaptive stage starts, by benchmarks/fit_start.py.

Every row is a layer, the last one all later layers; the columns are LAYER_TAPS, then the gates of
contexts.py. They say what codes of several encoders have in common: neighbours tend to agree, the
more so the more the rest of their bits does.
"""

import numpy as np

START_BITS = 10  # fractional bits
# fmt: off
START_WEIGHTS = np.array(
    [
        [293, 186, 93, 22, 133, 69, 0, 0, 0, 39, 43, 30, 149, 73, 0, 0, 0, 0, 0, 178, 155, 65, 48,
        127, 100, 72, 72, 72, 72, 72, 72],
        [17, -3, 2, -25, 8, -10, 228, 0, 0, 12, 14, 19, 62, 36, 0, 0, 0, 0, 0, 55, 58, 12, 4, 33,
        25, 122, 92, 41, 26, 68, 45],
        [55, 40, 8, -4, 31, 7, 230, 84, 0, 13, 16, 14, 48, 22, 0, 0, 0, 0, 0, 30, 23, -14, -1, 9, 6,
        86, 71, 19, 15, 56, 28],
        [43, 30, 11, 1, 28, 20, 90, 215, 50, 6, 4, 9, 22, 22, 15, 10, -13, 76, 41, -11, -10, -16,
        -18, -15, -9, 40, 32, 14, 13, 23, 19],
    ],
    dtype=np.int64,
)
# fmt: on
