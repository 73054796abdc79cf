"""Every container ever published decodes to the same bits; a missing golden file is a failure."""

import json

import numpy as np
import pytest

import nncodec
from nncodec.files.model_files import list_models, read_model
from nncodec.format.axes import COMMON_AXES
from nncodec.format.code_tensor import mark_absent
from nncodec.format.source import DTYPES, FORMATS, VALUES
from nncodec.model.adaptive.learning_rates import EXACT_BITS
from nncodec.model.contexts import CHANNEL_TAPS
from nncodec.model.network.operations import ACTIVATIONS, STEPS
from nncodec.model.schedule import BLOCK, block_count, block_size
from tests.golden import ROOT, arrays_of
from tests.golden.generate import CASES, encoded, header_facts, is_golden


@pytest.mark.parametrize("case", CASES)
def test_golden_containers_decode(case: str) -> None:
    container = (ROOT / case / "bitstream.bin").read_bytes()
    made = CASES[case]
    model = ROOT / case / "model.safetensors" if made.model and not made.embed else None
    decoded = nncodec.decode_many_covered(container, model=model)
    for covered, codes in zip(decoded, arrays_of(case), strict=True):
        np.testing.assert_array_equal(mark_absent(*covered), codes)


@pytest.mark.parametrize("case", CASES)
def test_golden_headers_read_the_same(case: str) -> None:
    header = nncodec.read_header((ROOT / case / "bitstream.bin").read_bytes())
    assert header_facts(header) == json.loads((ROOT / case / "header.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_encoder_still_writes_the_golden_containers(case: str) -> None:
    for made, codes in zip(CASES[case].arrays(), arrays_of(case), strict=True):
        np.testing.assert_array_equal(made, codes)
    assert is_golden(case, encoded(case).data)


def test_every_golden_folder_is_a_case() -> None:
    assert {folder.name for folder in ROOT.iterdir()} == set(CASES)


def test_every_feature_of_the_version_has_a_case() -> None:
    headers = {
        case: nncodec.read_header((ROOT / case / "bitstream.bin").read_bytes()) for case in CASES
    }
    sources = [header.source.first for header in headers.values()]
    assert {source.format for source in sources} == set(FORMATS)
    assert {source.axes for source in sources} > set(COMMON_AXES)
    assert any(source.frames for source in sources)
    assert any(header.source.extras for header in headers.values())
    assert {source.dtype[1] for source in sources} == {dtype[1] for dtype in DTYPES}
    assert {source.dtype[0] for source in sources} == {dtype[0] for dtype in DTYPES}
    assert {source.values for source in sources} == set(VALUES)
    assert {"", "codes", "arr_0"} < {source.name for source in sources if source.format == "npz"}

    segments = [segment for header in headers.values() for segment in header.segments]
    kinds = {(segment.stored, segment.layers > 1) for segment in segments}
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}
    counts = [{segment.layers for segment in header.segments} for header in headers.values()]
    assert any(len(layers) > 1 for layers in counts)

    early = [header for header in headers.values() if header.ends_early]
    decided = [group.decisions for header in early for group in header.groups]
    assert {None, ()} < set(decided)
    assert any(set(one) == {False, True} for one in decided if one)
    assert any(one and not any(one) for one in decided)
    assert any(len(one) < header.layers for header in early for one in decided if one)
    kinds = {(bool(header.model_id), header.sequence) for header in early}
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}
    assert {header.segments[-1].stored for header in early if header.segments} == {False, True}

    extents = [header.extent for header in headers.values()]
    assert any(len(extent.runs) > 1 for extent in extents)
    grouped = [header for header in headers.values() if len(header.groups) > 1]
    assert {header.sequence for header in grouped} == {False, True}
    assert {bool(header.members) for header in headers.values()} == {False, True}
    assert any(header.model_id and len(header.extent.runs) > 1 for header in headers.values())

    headers = {case: header for case, header in headers.items() if not header.members}
    shapes = [header.shape for header in headers.values()]
    assert max(shape[0] for shape in shapes) > max(back for _, back, _, _ in CHANNEL_TAPS)
    assert any(shape[1] > 1 and shape[1] * shape[2] * shape[3] >> EXACT_BITS for shape in shapes)
    assert any(shape[1:4] == (1, 1, 1) for shape in shapes)
    assert min(shape[4] for shape in shapes) == 1
    assert {block_count(shape[4]) for shape in shapes} == {1, 2, 3}
    assert any(shape[4] % block_size(shape[4]) for shape in shapes)
    frames = [header.shape[1] for header in headers.values() if header.sequence]
    assert max(frames) > 1 + max(frames for frames, *_ in CHANNEL_TAPS)
    assert any(header.sequence and header.shape[4] > BLOCK for header in headers.values())

    coded = [case for case in headers if not all(headers[case].layer_stored())]
    made = {case: CASES[case].model for case in coded}
    embedded = {case: CASES[case].embed for case in coded}
    models = {case: read_model(ROOT / case / "model.safetensors") for case in coded if made[case]}
    for kind in ((False, False), (False, True), (True, False), (True, True)):
        assert any((m.network is not None, embedded[case]) == kind for case, m in models.items())
    some = {case: model for case, model in models.items() if headers[case].sequence}
    assert {model.network is not None for model in some.values()} == {False, True}
    assert {embedded[case] for case in some} == {False, True}
    assert any(model.network and model.channels > BLOCK for model in models.values())
    for of_sequences in (False, True):
        networks = [m.network for case, m in models.items() if (case in some) == of_sequences]
        forms = [form for one in networks if one for form in one.sizes()["operations"]]
        assert {form["operation"] for form in forms} == {"convolve", "lstm", "head"}
        assert {form["over"] for form in forms if "over" in form} == set(STEPS)
        assert {form.get("activation", "tanh") for form in forms} == set(ACTIVATIONS)


def test_every_model_that_ships_has_a_case() -> None:
    shipped = {found.name: found.load().model_id for found in list_models()}
    cases = {case.shipped: name for name, case in CASES.items() if case.shipped}
    assert set(cases) == set(shipped)
    for model, case in cases.items():
        header = nncodec.read_header((ROOT / case / "bitstream.bin").read_bytes())
        assert header.model_id == shipped[model]
        assert not any(header.layer_stored())
