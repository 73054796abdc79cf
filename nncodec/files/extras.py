"""What a code file holds beside its codes <-> the extras of a `Source` (FORMAT.md, section 4).

Of a `.npz` these are its other arrays, each as the `.npy` that it lies there as: they come back as
they were, and nothing in them is taken apart. Of a `.safetensors` they are a file of the same kind.
"""

import zlib
from collections.abc import Mapping

from nncodec.errors import CodesError
from nncodec.format.fields import DAMAGED, Fields, varint
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
        CodesError: `packed` is not what it gives.
    """
    if not packed:
        return {}
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, MAX_EXTRAS_UNPACKED)
    except zlib.error as error:
        raise CodesError(f"the arrays beside the codes are damaged; {DAMAGED}") from error
    if not stream.eof or stream.unused_data or not data:
        raise CodesError(f"the arrays beside the codes have another length; {DAMAGED}")
    fields, members = Fields(data), {}
    while fields.rest:
        name = fields.text(MAX_NAME_BYTES)
        members[name] = fields.take(fields.varint())
    return members
