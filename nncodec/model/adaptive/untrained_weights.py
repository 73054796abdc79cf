"""The layers' weights that an untrained adaptive stage starts from, by benchmarks/fit_start.py.

Every row is a layer, the last one all later layers; the columns are those of `Start.shared`. They
say what codes of several encoders have in common: neighbours tend to agree, the more so the more
the rest of their bits does.
"""

import numpy as np

START_BITS = 14  # fractional bits
# A number a line would be a hundred lines.
# fmt: off
START_WEIGHTS = np.array(
    [
        [4688, 2976, 1488, 352, 2128, 1104, 0, 0, 0, 624, 688, 480, 2384, 1168, 0, 0, 0, 0, 0, 2848,
        2480, 1040, 768, 2032, 1600, 1152, 1152, 1152, 1152, 1152, 1152],
        [272, -48, 32, -400, 128, -160, 3648, 0, 0, 192, 224, 304, 992, 576, 0, 0, 0, 0, 0, 880,
        928, 192, 64, 528, 400, 1952, 1472, 656, 416, 1088, 720],
        [880, 640, 128, -64, 496, 112, 3680, 1344, 0, 208, 256, 224, 768, 352, 0, 0, 0, 0, 0, 480,
        368, -224, -16, 144, 96, 1376, 1136, 304, 240, 896, 448],
        [688, 480, 176, 16, 448, 320, 1440, 3440, 800, 96, 64, 144, 352, 352, 240, 160, -208, 1216,
        656, -176, -160, -256, -288, -240, -144, 640, 512, 224, 208, 368, 304],
    ],
    dtype=np.int64,
)
# fmt: on
