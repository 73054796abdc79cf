"""Training: networks, and what the adaptive stage starts from. PyTorch is imported here only.

May import `errors`, `format`, `model`, `coding` and `files`.
"""

from nncodec.training.networks.registry import make_network

__all__ = ["make_network"]
