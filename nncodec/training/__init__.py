"""Training: networks, and what the adaptive stage starts from. PyTorch is imported here only.

May import `errors`, `format`, `model`, `coding` and `files`. PyTorch and pydantic come with the
extra `train`; they are imported where they are needed, so that other commands do without.
"""

from importlib.util import find_spec

from nncodec.errors import NncodecError
from nncodec.training.networks.registry import make_network

__all__ = ["make_network", "require_packages"]


def require_packages(purpose: str, **packages: str) -> None:
    """Refuses to go on where packages are missing.

    Args:
        purpose: what needs them, for the message.
        packages: by the names under which they are imported, what people call them.

    Raises:
        NncodecError: one of them is not installed.
    """
    for name, title in packages.items():
        if find_spec(name) is None:
            raise NncodecError(
                f"{purpose} needs {title}, which is not installed; run: pip install {name}"
            )
