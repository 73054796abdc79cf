"""What a code file holds beside its codes <-> the extras of a `Source` (FORMAT.md, section 4).

Of a `.npz` these are its other arrays, each as the `.npy` that it lies there as: they come back as
they were, and nothing in them is taken apart. Of a `.safetensors` they are a file of the same kind.
"""

import zlib
from collections.abc import Mapping

from nncodec.errors import BitstreamError, CodesError
from nncodec.format.fields import DAMAGED, Fields, inflate, varint
from nncodec.format.limits import MAX_EXTRAS_BYTES, MAX_EXTRAS_UNPACKED, MAX_NAME_BYTES


def pack_extras(members: Mapping[str, bytes]) -> bytes:
    """Packs other arrays; gives nothing for none.

    Args:
        members: their bytes by their names.

    Raises:
        CodesError: they are above a limit.
    """
    if not members:
        return b""
    parts = bytearray()
    for name, data in members.items():
        text = name.encode()
        if len(text) > MAX_NAME_BYTES:
            raise CodesError(f"an array's name is above {MAX_NAME_BYTES} bytes; give it a shorter")
        parts += varint(len(text)) + text + varint(len(data)) + data
    packed = zlib.compress(bytes(parts), 9)
    if len(packed) > MAX_EXTRAS_BYTES or len(parts) > MAX_EXTRAS_UNPACKED:
        raise CodesError(
            f"the arrays beside the codes take {len(packed)} bytes, packed, above the limit of "
            f"{MAX_EXTRAS_BYTES}; keep them in another file"
        )
    return packed


def unpack_extras(packed: bytes) -> dict[str, bytes]:
    """Undoes `pack_extras`.

    Raises:
        BitstreamError: `packed` is not what it gives.
    """
    if not packed:
        return {}
    data = inflate(packed, MAX_EXTRAS_UNPACKED, "what is beside the codes")
    if not data:
        raise BitstreamError(f"nothing is beside the codes, and takes bytes; {DAMAGED}")
    fields, members = Fields(data), {}
    while fields.rest:
        name = fields.text(MAX_NAME_BYTES)
        members[name] = fields.take(fields.varint())
    return members
