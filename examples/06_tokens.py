"""Writes tokens: whole numbers of 18 bits, as tokenizers with binary latents save them."""

import sys

import numpy as np

import nncodec

random = np.random.default_rng(0)
latent = random.normal(size=(64, 64, 18))
for axis in (0, 1):
    latent = latent + np.roll(latent, 1, axis) + np.roll(latent, -1, axis)
bits = latent > 0  # what the quantizer keeps
tokens = (bits * (1 << np.arange(18)[::-1])).sum(axis=-1)  # the highest bit first
np.save(sys.argv[1], tokens)

data = nncodec.encode(tokens, axes="hw", bits=18)
assert (nncodec.decode(data, like="array") == tokens).all()
print(f"{tokens.size * 18} bits of {tokens.size} tokens -> {len(data)} bytes")
