"""Decode the first layers from the first part of a container, as a slow download would.

python examples/02_progressive.py examples/codes.npz
"""

import sys

import nncodec

codes = nncodec.read_code_file(sys.argv[1]).codes
data = nncodec.encode(codes)

header = nncodec.read_header(data)
end = len(data) - sum(segment.byte_length for segment in header.segments)
for segment, held in zip(header.segments, header.segment_layers(), strict=True):
    end += segment.byte_length
    layers = held.stop
    decoded = nncodec.decode(data[:end], layers=layers)
    assert (decoded == codes[:layers]).all()
    print(f"the first {end} bytes give the first {layers} of {header.layers} layers")
