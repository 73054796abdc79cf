"""The exceptions: one root, and a class for each cause.

Every error that a user can cause derives from `NncodecError` and reads as one line that says what
is wrong, where, and what to do. Anything else that escapes the package is a defect of the package.
"""


class NncodecError(Exception):
    """The root of everything that nncodec raises about files, codes and models."""


class CodesError(NncodecError):
    """A code file or a code tensor that cannot be taken as binary codes."""


class BitstreamError(NncodecError):
    """A container that is damaged, or is no container at all."""


class TruncatedError(BitstreamError):
    """A container whose end is missing.

    Attributes:
        whole_layers: how many layers, from the first on, the remaining bytes still hold.
    """

    def __init__(self, message: str, whole_layers: int = 0) -> None:
        super().__init__(message)
        self.whole_layers = whole_layers


class UnsupportedError(BitstreamError):
    """A container of a newer version of the format, or with features that this version lacks."""


class ModelError(NncodecError):
    """A model that is missing, damaged, or does not fit the codes."""
