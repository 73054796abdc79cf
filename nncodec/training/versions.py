"""The versions of libraries, for what is kept of how something was made."""

import platform
from importlib.metadata import version


def library_versions(*packages: str) -> dict[str, str]:
    """The version of nncodec, of installed packages, and of Python, by name."""
    versions = {package: version(package) for package in ("nncodec", *packages)}
    return versions | {"python": platform.python_version()}
