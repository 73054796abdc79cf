"""Codes in arrays of zarr 3: what is stored, what is fetched, and what damage does."""

import asyncio
import base64
import doctest
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nncodec
from nncodec.files import model_files
from nncodec.model.model import Model
from nncodec.model.packing import pack_model
from tests.samples import averaged_codes, random_start

zarr = pytest.importorskip("zarr")

from zarr.storage import LocalStore, MemoryStore, WrapperStore, ZipStore  # noqa: E402

import nncodec.numcodecs  # noqa: E402
import nncodec.zarr  # noqa: E402
from nncodec.zarr import MODELS, NAME, Codes, carry_model, use_models  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*Zarr format 3 specification:UserWarning")

SHAPE = (4, 6, 16, 24, 8)  # pictures, layers, rows, columns, bits
CODES = averaged_codes(SHAPE, 3)
CHUNK = (1, *SHAPE[1:])


def make(store: Any, data: npt.NDArray[Any] = CODES, **options: Any) -> Any:
    """An array of codes, a chunk a picture."""
    given_ = {"chunks": (1, *data.shape[1:]), "serializer": Codes("nlhwc", "adaptive")}
    options = {"shape": data.shape, "dtype": data.dtype, "compressors": None, **given_, **options}
    array = zarr.create_array(store, **options)
    array[...] = data
    return array


class CountingStore(WrapperStore[Any]):
    """A store that counts the bytes and the requests of what is read."""

    taken = requests = 0

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        found = await self._store.get(key, prototype, byte_range)
        if found is not None and "c/" in key:
            type(self).taken += len(found)
            type(self).requests += 1
        return found


@pytest.fixture
def counted() -> type[CountingStore]:
    CountingStore.taken = CountingStore.requests = 0
    return CountingStore


# --- what comes back ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["local", "zip", "memory", "fsspec"])
def test_stores(kind: str, tmp_path: Path) -> None:
    memory = MemoryStore()
    stores: dict[str, Any] = {
        "local": lambda mode: LocalStore(tmp_path / "store"),
        "zip": lambda mode: ZipStore(tmp_path / "store.zip", mode=mode),
        "memory": lambda mode: memory,
        "fsspec": lambda mode: f"memory://{tmp_path.name}/store",
    }
    if kind == "fsspec":
        pytest.importorskip("fsspec")
    store = stores[kind]("w")
    make(store)
    if kind == "zip":
        store.close()
        store = stores[kind]("r")
    array = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(array[...], CODES)
    np.testing.assert_array_equal(array[:, :2], CODES[:, :2])


def test_a_chunk_is_a_container(tmp_path: Path) -> None:
    make(LocalStore(tmp_path))
    for picture in range(4):
        data = (tmp_path / "c" / str(picture) / "0/0/0/0").read_bytes()
        assert data == nncodec.encode(CODES[picture : picture + 1], "adaptive", axes="nlhwc")


@given(data=st.data())
def test_any_array_and_any_part_of_it(data: st.DataObject) -> None:
    axes = data.draw(st.sampled_from(["nlhwc", "nlchw", "nhwc", "chw", "lnhwc", "nthwc", "nc"]))
    shape = tuple(data.draw(st.integers(1, 6)) for _ in axes)
    chunks = tuple(data.draw(st.integers(1, size)) for size in shape)
    low, high, dtype = data.draw(
        st.sampled_from([(0, 1, "uint8"), (False, True, "bool"), (-1, 1, "<f4"), (0, 255, ">i2")])
    )
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    codes = np.where(random.random(shape) < 0.3, high, low).astype(dtype)
    coder = Codes(axes, "adaptive", layer_depth=2 if axes == "nhwc" and chunks[3] == 2 else None)
    array = make(MemoryStore(), codes, chunks=chunks, serializer=coder, fill_value=low)
    np.testing.assert_array_equal(array[...], codes)
    assert array[...].dtype == codes.dtype
    part = tuple(
        data.draw(
            st.one_of(
                st.integers(0, size - 1),
                st.tuples(st.integers(0, size), st.integers(0, size), st.integers(1, 3)).map(
                    lambda ends: slice(*ends)
                ),
            )
        )
        for size in shape
    )
    np.testing.assert_array_equal(array[part], codes[part])
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, shape[1] - 1), min_size=1))))
    np.testing.assert_array_equal(array.oindex[:, rows], codes[:, rows])
    mask = random.random(shape) < 0.2
    np.testing.assert_array_equal(array.vindex[mask], codes[mask])
    array[part] = high
    codes[part] = high
    np.testing.assert_array_equal(array[...], codes)


def test_tokens(tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).integers(2**18, size=(5, 9, 7), dtype=np.int32)
    coder = Codes("nhw", "adaptive", bits=18, bit_order="msb")
    array = make(LocalStore(tmp_path), tokens, serializer=coder)
    np.testing.assert_array_equal(array[...], tokens)
    np.testing.assert_array_equal(zarr.open_array(tmp_path)[2:4, 3], tokens[2:4, 3])


def test_what_was_never_written_takes_nothing() -> None:
    store = MemoryStore()
    array = make(store, np.zeros(SHAPE, dtype=np.uint8))
    assert not [key for key in store._store_dict if key.startswith("c/")]
    assert not array[:, :1].any()
    array[1, 2] = 1
    assert [key for key in store._store_dict if key.startswith("c/")] == ["c/1/0/0/0/0"]
    assert array[...].sum() == CODES[0, 0].size


def test_configuration_is_json(tmp_path: Path) -> None:
    coder = Codes("nhw", "synthetic", bits=18, bit_order="lsb", sequence=True, effort="fast")
    described = json.loads(json.dumps(coder.to_dict()))
    assert described["name"] == NAME
    assert Codes.from_dict(described) == coder
    assert Codes("nlhwc").to_dict() == {"name": NAME, "configuration": {"axes": "nlhwc"}}
    make(LocalStore(tmp_path))
    stored = json.loads((tmp_path / "zarr.json").read_text())["codecs"]
    assert stored == [{"name": NAME, "configuration": {"axes": "nlhwc", "model": "adaptive"}}]
    for bad in ({"name": NAME, "configuration": {"new": 1}}, {"name": "nncodec.other"}):
        with pytest.raises(nncodec.NncodecError, match=r"unknown (new|nncodec\.other); upgrade"):
            Codes.from_dict(bad)


def test_shards_and_async() -> None:
    array = make(MemoryStore(), shards=(2, *SHAPE[1:]))
    np.testing.assert_array_equal(array[:, :2], CODES[:, :2])

    async def read() -> Any:
        return await array.async_array.getitem((slice(1, 3), slice(0, 1)))

    np.testing.assert_array_equal(asyncio.run(read()), CODES[1:3, :1])


def test_dask_and_xarray(tmp_path: Path) -> None:
    dask_array = pytest.importorskip("dask.array")
    xarray = pytest.importorskip("xarray")
    names = ("picture", "layer", "row", "column", "bit")
    group = zarr.create_group(tmp_path / "store")
    array = group.create_array(
        "codes",
        shape=SHAPE,
        chunks=CHUNK,
        dtype="uint8",
        serializer=Codes("nlhwc", "adaptive"),
        compressors=None,
        dimension_names=names,
    )
    array[...] = CODES
    zarr.consolidate_metadata(group.store)
    lazy = dask_array.from_zarr(str(tmp_path / "store"), component="codes")
    np.testing.assert_array_equal(lazy[:, :2].compute(), CODES[:, :2])
    with xarray.open_zarr(tmp_path / "store") as data:
        assert data["codes"].dims == names
        part = data["codes"].isel(layer=slice(0, 2), picture=1)
        np.testing.assert_array_equal(part.values, CODES[1, :2])


# --- what is fetched ---------------------------------------------------------------------------


def prefix_bytes(pictures: int, layers: int) -> int:
    """The bytes of the first pictures' headers and first layers."""
    total = 0
    for picture in range(pictures):
        data = nncodec.encode(CODES[picture : picture + 1], "adaptive", axes="nlhwc")
        sizes = nncodec.read_header(data).layer_bytes()
        total += len(data) - sum(sizes[layers:])
    return total


@pytest.mark.parametrize("layers", [1, 2, 5, 6])
def test_first_layers_fetch_the_first_part(counted: type[CountingStore], layers: int) -> None:
    store = counted(MemoryStore())
    make(store)
    array = zarr.open_array(store, mode="r")
    counted.taken = counted.requests = 0
    np.testing.assert_array_equal(array[:, :layers], CODES[:, :layers])
    assert counted.taken == prefix_bytes(4, layers)
    assert counted.requests <= 4 * 2


@pytest.mark.parametrize(
    ("part", "layers"),
    [
        ((slice(None), 1), 2),
        ((0, slice(0, 3, 2), 5, 5, 5), 3),
        ((slice(0, 4), slice(0, 1), slice(3, 9)), 1),
    ],
)
def test_other_parts_fetch_as_little(counted: type[CountingStore], part: Any, layers: int) -> None:
    store = counted(MemoryStore())
    array = make(store)
    counted.taken = 0
    np.testing.assert_array_equal(array[part], CODES[part])
    chunks = 1 if part[0] == 0 else 4
    assert counted.taken == prefix_bytes(chunks, layers)


def test_layers_cut_of_depth_are_a_first_part_too(counted: type[CountingStore]) -> None:
    deep = np.ascontiguousarray(np.moveaxis(CODES, 1, 3)).reshape(4, 16, 24, 48)
    store = counted(MemoryStore())
    coder = Codes("nhwc", "adaptive", layer_depth=8)
    array = make(store, deep, serializer=coder)
    counted.taken = 0
    np.testing.assert_array_equal(array[:2, :, :, :11], deep[:2, :, :, :11])
    assert counted.taken <= prefix_bytes(2, 2) + 2 * 8  # the header names the axes


def test_small_chunks_and_long_headers(counted: type[CountingStore]) -> None:
    codes = averaged_codes((2, 40, 12, 10, 32), 1)  # forty segments
    store = counted(MemoryStore())
    array = make(store, codes)
    np.testing.assert_array_equal(array[:, :1], codes[:, :1])
    tiny = averaged_codes((2, 3, 2, 2, 2), 1)  # one segment, and less than a header's guess
    array = make(counted(MemoryStore()), tiny)
    np.testing.assert_array_equal(array[:, :1], tiny[:, :1])


def test_a_store_is_hardly_larger_than_its_containers(tmp_path: Path) -> None:
    pictures = averaged_codes((40, 4, 12, 16, 16), 0)
    make(LocalStore(tmp_path), pictures)
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    alone = sum(len(nncodec.encode(one[:, None], "adaptive")) for one in pictures)
    assert size <= 1.02 * alone + (tmp_path / "zarr.json").stat().st_size
    assert (tmp_path / "zarr.json").stat().st_size < 2000


# --- models ------------------------------------------------------------------------------------


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model that is nowhere."""
    monkeypatch.setattr(model_files, "_registered", {})
    return Model(random_start(6, 8, 1))


def test_models_by_name_id_and_path(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(pack_model(model))
    two = averaged_codes((2, 3, 9, 9, 2), 0)
    by_name = make(MemoryStore(), two, serializer=Codes("nlhwc", "synthetic"))
    np.testing.assert_array_equal(by_name[...], two)
    synthetic = nncodec.load_model("synthetic").model_id.hex()
    by_id = make(MemoryStore(), two, serializer=Codes("nlhwc", synthetic))
    np.testing.assert_array_equal(by_id[...], two)
    by_path = make(MemoryStore(), serializer=Codes("nlhwc", str(path)))
    with pytest.raises(nncodec.ModelError, match=model.model_id.hex()):
        by_path[...]


def test_models_in_a_folder(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.safetensors").write_bytes(pack_model(model))
    monkeypatch.setenv("NNCODEC_MODELS", str(tmp_path))
    array = make(MemoryStore(), serializer=Codes("nlhwc", "mine"))
    np.testing.assert_array_equal(array[:, :2], CODES[:, :2])


def test_a_store_carries_its_model(model: Model, tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "store")
    name = carry_model(group, model)
    assert name == model.model_id.hex()
    for array in ("train", "test"):
        make(group.store_path / array, serializer=Codes("nlhwc", name))
    model_files._registered.clear()  # as in another process

    group = zarr.open_group(tmp_path / "store", mode="r")
    with pytest.raises(nncodec.ModelError, match=r"call nncodec\.zarr\.use_models") as raised:
        group["test"][0]
    assert f"/test/c/0/0/0/0/0: it needs model {name}, which is not found" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert use_models(group) == [name]
    np.testing.assert_array_equal(group["test"][:, :1], CODES[:, :1])

    pickled = pickle.dumps(group["test"])  # to a worker of Dask, say
    model_files._registered.clear()
    np.testing.assert_array_equal(pickle.loads(pickled)[1], CODES[1])

    text = base64.b64encode(b"damaged").decode()
    group = zarr.open_group(tmp_path / "store", mode="r+")
    for bad in (text, "no base64"):
        group.attrs[MODELS] = {name: bad}
        with pytest.raises(nncodec.NncodecError, match=f"model {name} in the attributes of "):
            use_models(group)


# --- what is wrong -----------------------------------------------------------------------------


def damage(path: Path, change: str) -> None:
    data = bytearray(path.read_bytes())
    if change == "payload":
        data[-20] ^= 4
    elif change == "cut":
        del data[len(data) // 2 :]
    elif change == "newer":
        import zlib

        header = nncodec.read_header(bytes(data))
        size = len(data) - sum(header.layer_bytes())
        data[6] = 9
        data[size - 4 : size] = zlib.crc32(data[: size - 4]).to_bytes(4, "little")
    elif change == "none":
        data[:] = b"hello"
    elif change == "another":
        data[:] = nncodec.encode(CODES[:1, :1], "adaptive", axes="nlhwc")
    elif change == "dtype":
        data[:] = nncodec.encode(CODES[:1].astype("float32"), "adaptive", axes="nlhwc")
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("payload", "; the file is damaged; get another copy"),
        ("cut", "the file ends early, "),
        ("newer", "of version 9, not 1; it was written by a newer version; upgrade nncodec"),
        ("none", "the file is no container; "),
        ("another", "it holds 3072 bits, the chunk 18432; the chunk was replaced by another"),
        ("dtype", "it holds values of dtype float32, not uint8; the array's metadata was changed"),
    ],
)
def test_other_chunks_are_readable(tmp_path: Path, change: str, line: str) -> None:
    array = make(LocalStore(tmp_path))
    damage(tmp_path / "c/2/0/0/0/0", change)
    for part in ((slice(None),), (2, slice(0, 6))):
        with pytest.raises(nncodec.NncodecError) as raised:
            array[part]
        assert "/c/2/0/0/0/0: " in str(raised.value)
        assert line in str(raised.value)
        assert "\n" not in str(raised.value)
    for picture in (0, 1, 3):
        np.testing.assert_array_equal(array[picture], CODES[picture])
    if change in ("payload", "cut"):
        np.testing.assert_array_equal(array[2, :1], CODES[2, :1])


def test_a_fill_value_that_is_no_code() -> None:
    signs = CODES.astype(np.float32) * 2 - 1
    array = make(MemoryStore(), signs, fill_value=-1)
    np.testing.assert_array_equal(array[...], signs)
    with pytest.raises(nncodec.CodesError, match="the fill_value has to be one of the two, too"):
        make(MemoryStore(), signs, chunks=(3, *SHAPE[1:]))


def test_an_array_of_other_axes() -> None:
    with pytest.raises(nncodec.NncodecError, match="no axes 'nchw'; give a letter of lnthwc"):
        make(MemoryStore(), serializer=Codes("nchw"))


def test_importing_takes_no_framework() -> None:
    code = (
        "import sys, nncodec.zarr, nncodec.numcodecs\n"
        "heavy = {'torch', 'matplotlib', 'distributed'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_examples_in_docstrings_run() -> None:
    for module in (nncodec.zarr, nncodec.numcodecs):
        results = doctest.testmod(module)
        assert results.attempted > 1
        assert not results.failed


def test_without_zarr(tmp_path: Path) -> None:
    (tmp_path / "zarr.py").write_text("raise ImportError")
    (tmp_path / "numcodecs.py").write_text("raise ImportError")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for name, package in (("zarr", "'zarr>=3.1'"), ("numcodecs", "numcodecs")):
        command = [sys.executable, "-c", f"import nncodec.{name}"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        line = f"which is not installed; run: pip install {package}"
        assert done.stderr.splitlines()[-1].endswith(line)


def test_zarr_finds_the_codec_by_itself(tmp_path: Path) -> None:
    """As where nncodec is installed, whose entry points name it."""
    tomllib = pytest.importorskip("tomllib")
    pages = Path(__file__).parents[1] / "pyproject.toml"
    groups = tomllib.loads(pages.read_text())["project"]["entry-points"]
    folder = tmp_path / "fake-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: fake\nVersion: 1\n")
    lines = [
        f"[{group}]\n" + "\n".join(f"{key} = {value}" for key, value in points.items())
        for group, points in groups.items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines))
    make(LocalStore(tmp_path / "store"))
    code = (
        "import sys, zarr, numcodecs\n"
        f"array = zarr.open_array({str(tmp_path / 'store')!r})\n"
        f"assert int(array[:].sum()) == {int(CODES.sum())}\n"
        "assert numcodecs.get_codec({'id': 'nncodec.codes', 'axes': 'chw'}).encode\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
