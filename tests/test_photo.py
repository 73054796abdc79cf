"""The example with photographs: codes of any picture and back, its files, its pictures."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import nncodec
from examples.photo import make_codes, rate_distortion, train_photo
from examples.photo.bit_predictor import BitPredictor
from examples.photo.draw_scene import draw_scene
from examples.photo.network import (
    LAYER_DEPTH,
    LAYERS,
    PhotoNetwork,
    cover_evenly,
    decode,
    encode,
    load_network,
    save_network,
)
from examples.photo.photo import main
from examples.photo.photo_files import (
    decode_picture,
    encode_picture,
    pack_photo,
    read_photo,
)
from examples.photo.pictures import read_picture
from examples.photo.pieces import Photographs
from examples.photo.quality import EXPONENTS, SMALLEST, Pixels, ms_ssim, psnr
from examples.photo.transform_start import start_as_transform
from nncodec import read_code_file
from nncodec.files.model_files import ADAPTIVE

FOLDER = Path(__file__).parents[1] / "examples" / "photo"
SCENE = FOLDER / "scene.jpg"


@pytest.fixture(scope="module")
def network() -> PhotoNetwork:
    return load_network()


@pytest.fixture(scope="module")
def scene() -> Pixels:
    """A piece of the photograph that ships, of no whole number of blocks."""
    return read_picture(SCENE)[100:220, 60:290]


def noise(height: int, width: int) -> Pixels:
    random = np.random.default_rng(height * width)
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of codes of the photograph that ships."""
    path = tmp_path / "photo.bin"
    assert run("encode", "--model", ADAPTIVE, SCENE, path).exit_code == 0
    return path


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 31), (16, 48), (33, 2)])
def test_codes_and_size_come_back(
    height: int, width: int, network: PhotoNetwork, tmp_path: Path
) -> None:
    given = encode_picture(network, noise(height, width))
    assert given.codes.shape == (LAYERS, 1, -(-height // 16), -(-width // 16), LAYER_DEPTH)
    path = tmp_path / "photo.bin"
    path.write_bytes(pack_photo(given, ADAPTIVE).data)
    photo, sizes = read_photo(path)
    assert np.array_equal(photo.codes, given.codes)
    assert photo.coverage is None
    assert (photo.height, photo.width) == (height, width)
    assert sizes[-1] == path.stat().st_size
    assert decode_picture(network, photo).shape == (height, width, 3)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, LAYERS))
def test_the_decoder_finds_the_state_of_the_encoder(height: int, width: int, layers: int) -> None:
    torch.manual_seed(height)
    network = PhotoNetwork()
    latent = torch.randn(1, 128, height, width)
    with torch.inference_mode():
        bits, states = network.binarise(latent)
        state = network.state(bits[:layers])
    assert torch.allclose(state, states[layers - 1], atol=1e-5)


@pytest.mark.parametrize("layers", [1, 3, LAYERS])
def test_a_prefix_of_the_file_decodes_to_a_prefix_of_the_layers(layers: int, file: Path) -> None:
    whole, sizes = read_photo(file)
    file.write_bytes(file.read_bytes()[: sizes[layers - 1]])
    photo, _ = read_photo(file, layers)
    assert np.array_equal(photo.codes, whole.codes[:layers])


def test_a_file_that_was_cut_off_says_which_layers_can_be_had(file: Path, tmp_path: Path) -> None:
    cut, out, whole = tmp_path / "cut.bin", tmp_path / "out.png", LAYERS - 1
    cut.write_bytes(file.read_bytes()[:-1])
    line = f"only {whole} of its layers are whole; decode --layers {whole} gives these, or get ano"
    assert line in run("decode", cut, out).stderr
    assert run("decode", cut, out, "--layers", whole).exit_code == 0
    cut.write_bytes(file.read_bytes()[:200])
    line = "the file ends early, no layer is whole; get another copy"
    assert line in run("decode", cut, out, "--force").stderr


def test_pictures_become_better_with_layers_and_what_ships_is_good(
    network: PhotoNetwork, scene: Pixels
) -> None:
    photo = encode_picture(network, scene)
    near = [
        psnr(decode_picture(network, photo.first(layers)), scene) for layers in range(1, LAYERS + 1)
    ]
    assert near == sorted(near)
    assert near[0] > 18
    assert near[-1] > 24


@pytest.mark.parametrize("most", [1800, 5000, 9000, 100_000])
def test_max_bytes_is_true(most: int, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    assert run("encode", "--model", ADAPTIVE, "--max-bytes", most, SCENE, path).exit_code == 0
    assert path.stat().st_size <= most
    layers, (_, sizes) = read_photo(path)[0].layers, read_photo(file)
    assert layers == LAYERS or sizes[layers] > most


def test_target_psnr_takes_as_few_layers_as_reach_it(tmp_path: Path, network: PhotoNetwork) -> None:
    path = tmp_path / "photo.bin"
    result = run("encode", "--model", ADAPTIVE, "--target-psnr", 28, SCENE, path)
    assert result.exit_code == 0
    pixels, (photo, _) = read_picture(SCENE), read_photo(path)
    assert psnr(decode_picture(network, photo), pixels) >= 28
    assert psnr(decode_picture(network, photo.first(photo.layers - 1)), pixels) < 28
    result = run("encode", "--force", "--model", ADAPTIVE, "--target-psnr", 99, SCENE, path)
    assert "dB, not 99" in result.stdout
    assert read_photo(path)[0].layers == LAYERS


def test_a_coverage_takes_bits_where_they_count(network: PhotoNetwork, scene: Pixels) -> None:
    pixels = torch.from_numpy(scene.transpose(2, 0, 1).copy())[None]
    height, width = scene.shape[:2]
    coverage = cover_evenly(network, pixels, 28)
    assert coverage.min() >= 1
    assert len(set(coverage.flatten().tolist())) > 3
    codes = encode(network, pixels, coverage)
    layers = torch.arange(LAYERS)[:, None, None, None]
    assert not codes[coverage <= layers].any()
    assert torch.equal(codes[0], encode(network, pixels)[0])
    found = [
        psnr(
            decode(network, codes[:count], height, width, coverage)[0].permute(1, 2, 0).numpy(),
            scene,
        )
        for count in (1, 4, LAYERS)
    ]
    assert found == sorted(found)
    assert found[-1] > 27
    everywhere = torch.full_like(coverage, LAYERS)
    whole = encode(network, pixels, everywhere)
    assert torch.equal(whole, encode(network, pixels))
    assert torch.equal(
        decode(network, whole, height, width, everywhere), decode(network, whole, height, width)
    )


def test_decode_writes_the_picture(file: Path, tmp_path: Path, network: PhotoNetwork) -> None:
    path = tmp_path / "out.png"
    assert run("decode", "--layers", 2, file, path).exit_code == 0
    photo, _ = read_photo(file, 2)
    assert np.array_equal(read_picture(path), decode_picture(network, photo))


def test_adaptive_quality_gives_every_region_as_much_as_it_takes(
    tmp_path: Path, network: PhotoNetwork
) -> None:
    path, out = tmp_path / "photo.bin", tmp_path / "out.png"
    words = ("encode", "--model", ADAPTIVE, "--adaptive-quality", 27)
    assert run(*words, SCENE, path).exit_code == 0
    pixels, (photo, sizes) = read_picture(SCENE), read_photo(path)
    given = encode_picture(network, pixels, 27)
    assert given.coverage is not None
    assert photo.coverage is not None
    assert np.array_equal(photo.coverage, given.coverage)
    assert np.array_equal(photo.codes, given.codes)
    assert sizes[-1] < photo.bits / 8 < photo.codes.size / 16
    assert run("decode", "--layers", 4, path, out).exit_code == 0
    assert np.array_equal(read_picture(out), decode_picture(network, photo.first(4)))
    assert run("strip", "--original", SCENE, path, tmp_path / "strip.png").exit_code == 0
    assert run(*words, "--force", "--max-bytes", sizes[2], SCENE, path).exit_code == 0
    assert path.stat().st_size <= sizes[2]


def test_strip_has_every_quality(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "strip.png"
    result = run("strip", "--original", SCENE, "--width", 100, file, path)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()[1:]]
    assert [line[0] for line in lines] == [str(layers) for layers in range(1, LAYERS + 1)]
    assert all(float(line[2]) < float(line[1]) for line in lines)  # nncodec saves
    assert float(lines[-1][3]) > 30
    assert 0.9 < float(lines[-1][4]) < 1
    assert read_picture(path).shape[1] > 300
    assert run("strip", file, tmp_path / "alone.jpg").exit_code == 0


def broken(tmp_path: Path) -> dict[str, Path]:
    """Files that are not what they should be."""
    text, codes, cut = (tmp_path / name for name in ("text.jpg", "codes.bin", "cut.jpg"))
    text.write_text("no picture")
    cut.write_bytes(SCENE.read_bytes()[:3000])
    codes.write_bytes((FOLDER.parent / "codes.npz").read_bytes())
    return {"text": text, "codes": codes, "cut": cut, "missing": tmp_path / "missing.jpg"}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("encode", "missing", "out"), "no such file or folder"),
        (("encode", "text", "out"), "is no picture that Pillow reads, or is damaged"),
        (("encode", "cut", "out"), "is no picture that Pillow reads, or is damaged"),
        (("encode", "--max-bytes", "9", SCENE, "out"), "more than 9; allow more"),
        (("encode", SCENE, SCENE), "is the input itself"),
        (("decode", "codes", "out.png"), "not a container"),
        (("decode", "codes", "out"), "name a .png, .jpg or .webp"),
        (("strip", "--original", "text", "file", "out.png"), "is no picture"),
        (("decode", "--weights", "text", "file", "out.png"), "of another encoder"),
        (("decode", "--weights", "missing", "file", "out.png"), "no such file or folder"),
    ],
)
def test_errors_are_one_line(
    command: tuple[object, ...], said: str, file: Path, tmp_path: Path
) -> None:
    files = {**broken(tmp_path), "file": file}
    words = [files.get(str(word), word) for word in command]
    words[-1] = words[-1] if words[-1] == SCENE else tmp_path / str(words[-1])
    result = run(*words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_is_no_photograph_is_refused(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(nncodec.encode(read_code_file(FOLDER.parent / "codes.npz").codes, ADAPTIVE))
    result = run("decode", other, tmp_path / "out.png")
    assert "holds no photograph" in result.stderr
    Image.fromarray(noise(20, 20)).save(tmp_path / "other.png")
    result = run("strip", "--original", tmp_path / "other.png", file, tmp_path / "out.png")
    assert "has 20 x 20 pixels" in result.stderr


def test_psnr_is_that_of_its_definition() -> None:
    grey = np.full((4, 5, 3), 100, dtype=np.uint8)
    assert psnr(grey, grey) == math.inf
    assert psnr(grey, grey + 5) == pytest.approx(20 * math.log10(255 / 5))


def test_ms_ssim_has_the_properties_of_its_paper(scene: Pixels) -> None:
    scene = read_picture(SCENE)[:SMALLEST, : SMALLEST + 3]
    random = np.random.default_rng(0)
    noisy = [
        (scene + random.normal(0, deviation, scene.shape)).clip(0, 255).astype(np.uint8)
        for deviation in (5, 15, 45)
    ]
    found = [ms_ssim(scene, one) for one in noisy]
    assert ms_ssim(scene, scene) == pytest.approx(1)
    assert 1 > found[0] > found[1] > found[2] > 0
    assert ms_ssim(noisy[1], scene) == pytest.approx(found[1])
    assert math.isnan(ms_ssim(scene[:-1], scene[:-1]))
    # Between two even greys, only their light differs, and it counts on the coarsest scale.
    one, other, constant = 100, 140, (0.01 * 255) ** 2
    light = (2 * one * other + constant) / (one**2 + other**2 + constant)
    even = np.full((SMALLEST, SMALLEST, 3), one, dtype=np.uint8)
    assert ms_ssim(even, even + (other - one)) == pytest.approx(light ** EXPONENTS[-1])


def test_the_photograph_is_what_its_script_draws() -> None:
    assert psnr(np.asarray(draw_scene()), read_picture(SCENE)) > 33


def test_a_bit_is_predicted_from_bits_before_it() -> None:
    torch.manual_seed(0)
    predictor = BitPredictor(hidden=4)
    torch.nn.init.normal_(predictor.here.weight)
    bits = torch.randn(1, LAYERS * LAYER_DEPTH, 3, 3).sign()
    layer, channel = 3, 7
    changed = bits.clone()
    changed[0, layer * LAYER_DEPTH + channel, 1, 1] *= -1
    with torch.inference_mode():
        differs = (predictor.lengths(bits) != predictor.lengths(changed))[0]
    unit = layer * LAYER_DEPTH + channel
    assert not differs[: layer * LAYER_DEPTH].any()  # layers before
    assert not differs[layer * LAYER_DEPTH : (layer + 1) * LAYER_DEPTH, 0].any()  # the row above
    assert not differs[layer * LAYER_DEPTH : unit, 1, :2].any()  # channels before
    assert differs[unit + 1 :, 1, 1].all()
    assert differs[layer * LAYER_DEPTH : (layer + 1) * LAYER_DEPTH, 2].any()


def test_training_starts_as_a_transform_coder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PhotoNetwork()
    start_as_transform(network, Photographs(FOLDER, 128, "cpu").batch(40))
    save_network(network, tmp_path / "start.safetensors")
    started = load_network(tmp_path / "start.safetensors")
    pixels = read_picture(SCENE)
    assert psnr(decode_picture(started, encode_picture(started, pixels)), pixels) > 22


def test_the_commands_of_training(tmp_path: Path) -> None:
    trained, codes = tmp_path / "trained", tmp_path / "codes"
    folders = ["--photos", str(FOLDER), "--validation", str(FOLDER), "--output", str(trained)]
    words = [*folders, "--steps", "2", "--crop", "64", "--log-seconds", "0"]
    result = CliRunner().invoke(train_photo.main, words)
    assert result.exit_code == 0, result.output
    assert "step 2: dB" in result.stdout
    assert load_network(trained / "weights.safetensors")
    words = ["--photos", str(FOLDER), "--output", str(codes), "--variants", "2"]
    assert CliRunner().invoke(make_codes.main, words).exit_code == 0
    files = sorted(codes.iterdir())
    assert [file.name for file in files] == ["v0_scene.npz", "v1_scene.npz"]
    assert read_code_file(files[0]).codes.shape == (LAYERS, 1, 20, 30, LAYER_DEPTH)
    folders[1] = str(codes)
    result = CliRunner().invoke(train_photo.main, folders)
    assert result.output == f"Error: {codes}: holds no photograph; name a folder that does\n"


def test_rate_distortion_says_what_nncodec_saves(tmp_path: Path) -> None:
    Image.fromarray(read_picture(SCENE)[:180, :200]).save(tmp_path / "photo.png")
    result = CliRunner().invoke(
        rate_distortion.main,
        [str(tmp_path), "--model", ADAPTIVE, "--plot", str(tmp_path / "r.png")],
    )
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert float(lines[str(LAYERS)][1]) > float(lines[str(LAYERS)][2])
    assert (tmp_path / "r.png").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no photograph" in CliRunner().invoke(rate_distortion.main, [str(empty)]).output
