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
        [287, 188, 93, 21, 125, 72, 0, 0, 0, 0, 0, 0, 0, 71, 37, 41, 27, 144, 73, 0, 0, 0, 0, 0,
        177, 164, 68, 53, 126, 106, 72, 72, 72, 72, 72, 72],
        [24, 3, 1, -25, 1, -8, 279, -44, -73, -42, -49, 0, 0, 24, 11, 12, 16, 58, 34, 0, 0, 0, 0, 0,
        58, 61, 13, 7, 37, 28, 110, 93, 38, 28, 60, 47],
        [52, 42, 8, -6, 24, 7, 236, -20, -25, -11, -5, 83, 0, 11, 12, 16, 14, 44, 21, 0, 0, 0, 0, 0,
        31, 25, -13, 1, 11, 7, 80, 73, 19, 16, 53, 29],
        [40, 30, 10, 1, 25, 18, 89, -9, -2, -11, -12, 213, 50, 12, 6, 4, 8, 21, 21, 15, 9, -10, 63,
        33, -11, -10, -18, -18, -14, -9, 40, 33, 14, 14, 23, 20],
    ],
    dtype=np.int64,
)
# fmt: on
