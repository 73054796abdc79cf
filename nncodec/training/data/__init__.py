"""Where codes come from besides code files: the synthetic generator and TFRecord data sets."""
