"""What a file is that holds no codes: one line, with what to do about it."""

from nncodec.format.magic import MAGIC

_MANGLED = "its line ends were changed as if it were text; get a copy in binary mode"
_SAVE = "save with numpy.savez, or as .safetensors"

_MAGICS = {
    MAGIC: "the file is a container, not a code file; use nncodec decompress on it",
    b"\x1f\x8b": "the file is packed by gzip; unpack it first (gunzip)",
    b"BZh": "the file is packed by bzip2; unpack it first (bunzip2)",
    b"\xfd7zXZ": "the file is packed by xz; unpack it first (unxz)",
    b"\x28\xb5\x2f\xfd": "the file is packed by zstd; unpack it first (unzstd)",
    b"\x89HDF": f"the file is HDF5, which is not read; {_SAVE}",
    b"\xef\xbf\xbdNUMPY": f"the .npy is damaged: {_MANGLED}",
}
_PICKLE = f"a Python pickle, which could run any program and is never read; {_SAVE}"


def diagnose(data: bytes) -> str:
    """Says what a file is that begins like no code file."""
    if not data:
        return "the file is empty; give a .npy, .npz or .safetensors file of codes"
    for magic, line in _MAGICS.items():
        if data.startswith(magic):
            return line
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return f"the file is {_PICKLE}"
    return "neither a .npy, a .npz nor a .safetensors file; save codes with numpy.save or savez"


def diagnose_names(names: list[str]) -> str | None:
    """Says what a zip file is, by the names in it, that is no `.npz`; None if it may be one."""
    if any(name.split("/")[-1] == "data.pkl" for name in names):
        return (
            "the file is a PyTorch file (.pt), " + _PICKLE + ": numpy.savez('codes.npz', "
            "codes=codes.cpu().numpy())"
        )
    return None


def is_mangled(data: bytes) -> bool:
    """Says whether every line feed of a file follows a carriage return, as in no binary file."""
    feeds = data.count(b"\n")
    return feeds > 0 and feeds == data.count(b"\r\n")


def mangled_line(what: str) -> str:
    """Says what to do about `is_mangled`."""
    return f"{what} is damaged: {_MANGLED}"
