"""Compress codes, get them back, and see what each layer took.

python examples/01_first_steps.py examples/codes.npz
"""

import sys

import nncodec

# uint8, [layers, batch, height, width, layer_depth]
codes = nncodec.read_code_file(sys.argv[1]).codes

data = nncodec.encode(codes)
assert (nncodec.decode(data) == codes).all()

header = nncodec.read_header(data)
print(f"{codes.size / 8:.0f} bytes of codes in {len(data)} bytes, bit for bit")
for segment, held in zip(header.segments, header.segment_layers(), strict=True):
    rate = segment.byte_length * 8 / (len(held) * header.bits_per_layer)
    print(f"layer {held.start}: {segment.byte_length} bytes, rate {rate:.3f}")
