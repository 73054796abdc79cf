"""A photograph all the way: an encoder for pictures, whose codes nncodec makes small."""
