"""Code the frames of a video as a batch of pictures, and as a sequence.

    python examples/05_sequence.py frames.npy

The frames are drawn here: every bit is the sign of a number that drifts from frame to frame. Bits
beside each other have nothing in common, but each is most often what it was a frame before.
"""

import sys

import numpy as np

import nncodec

LAYERS, FRAMES, HEIGHT, WIDTH, LAYER_DEPTH = 2, 12, 12, 16, 16

random = np.random.default_rng(5)
state = random.normal(size=(LAYERS, HEIGHT, WIDTH, LAYER_DEPTH))
frames = []
for _ in range(FRAMES):
    frames.append(state > 0)
    state = 0.98 * state + 0.2 * random.normal(size=state.shape)
codes = np.stack(frames, axis=1).astype(np.uint8)  # [layers, batch, height, width, layer_depth]

for sequence in (False, True):
    data = nncodec.encode(codes, sequence=sequence)
    assert (nncodec.decode(data) == codes).all()
    kind = "a sequence of frames" if sequence else "a batch of pictures"
    print(f"as {kind}: {len(data)} bytes, rate {len(data) * 8 / codes.size:.3f}")

found = nncodec.read_header(nncodec.encode(codes)).sequence
print(f"by itself, the encoder takes them for {'a sequence' if found else 'a batch'}")
np.save(sys.argv[1], codes)
