"""Feeds a training with codes: shards of containers, decoded by the workers of a DataLoader.

    python examples/06_data_loader.py examples/codes.npz

`nncodec.decode` is the function to map: here by webdataset, and the same way by a map-style
dataset of torch.utils.data or by Ray Data. Each worker is a process, so one thread in each is
enough. Needs PyTorch, and webdataset: pip install webdataset
"""

import io
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import webdataset
from torch.utils.data import DataLoader

import nncodec

SHARDS, PICTURES = 2, 8


def write_shard(path: Path, pictures: Sequence[tuple[str, npt.NDArray[np.uint8]]]) -> None:
    """Writes pictures' codes into a tar, a container each."""
    with tarfile.open(path, "w") as shard:
        for name, codes in pictures:
            data = nncodec.encode(codes, "adaptive")
            entry = tarfile.TarInfo(f"{name}.nncodec")
            entry.size = len(data)
            shard.addfile(entry, io.BytesIO(data))


def main(codes_file: str) -> None:
    whole = nncodec.read_code_file(codes_file).codes
    pictures = [(f"picture{index}", np.roll(whole, index, axis=3)) for index in range(PICTURES)]
    with tempfile.TemporaryDirectory() as folder:
        shards = [Path(folder, f"{number}.tar") for number in range(SHARDS)]
        for number, shard in enumerate(shards):
            write_shard(shard, pictures[number::SHARDS])

        decode = partial(nncodec.decode, layers=2, threads=1)  # the first layers are enough here
        dataset = (
            webdataset.WebDataset([str(shard) for shard in shards], shardshuffle=False)
            .to_tuple("__key__", "nncodec")
            .map_tuple(str, decode)
        )
        seen: dict[str, npt.NDArray[np.uint8]] = {}
        for names, batch in DataLoader(dataset, batch_size=4, num_workers=2):
            print(f"{', '.join(names)}: {tuple(batch.shape)}, {batch.float().mean():.3f} ones")
            seen.update(zip(names, batch.numpy(), strict=True))
    for name, codes in pictures:
        assert (seen[name] == codes[:2]).all()
    print(f"{len(seen)} pictures, every bit as it was")


if __name__ == "__main__":
    main(*sys.argv[1:])
