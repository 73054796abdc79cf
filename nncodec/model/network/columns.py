"""What the tables of a network hold: the columns of `NetworkStage.operations` and `.taps`."""

from nncodec.model.network.operations import ACTIVATIONS, STEPS

KIND, EARLY, AHEAD, FIRST_TAP, END_TAP, EARLIER, SKIP, ACTIVATION, WIDTH, PADDED = range(10)
WEIGHTS, OF_SET, SCALES, PLANE, GATES, OVER, CARRIED, UNITS, LIMIT = range(10, 19)
"""What the columns of `NetworkStage.operations` hold."""
CONVOLVE, LSTM, HEAD = range(3)
OF_PLANE, TAP_WIDTH, DOWN, RIGHT, OF_CARRIED = range(5)
"""What the columns of `NetworkStage.taps` hold."""
BITS = -1
"""Stands for the bits, in place of where a plane lies; for nothing that is added."""
RELU, TANH = ACTIVATIONS.index("relu"), ACTIVATIONS.index("tanh")
ROWS_STEP = STEPS.index("rows")
RING_ROWS, OF_POSITION, OF_LINE, OF_LAYER_OF_PLANES, OF_CARRIED_POSITION = range(5)
"""The places of these in `NetworkStage.sizes`."""
