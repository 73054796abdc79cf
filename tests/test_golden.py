"""Every container ever published decodes to the same bits; a missing golden file is a failure."""

import json

import numpy as np
import pytest

import nncodec
from tests.golden import ROOT
from tests.golden.generate import CASES, encoded, header_facts


@pytest.mark.parametrize("case", CASES)
def test_golden_containers_decode(case: str) -> None:
    container = (ROOT / case / "bitstream.bin").read_bytes()
    made = CASES[case]
    model = ROOT / case / "model.safetensors" if made.model and not made.embed else None
    decoded = nncodec.decode(container, model=model)
    np.testing.assert_array_equal(decoded, np.load(ROOT / case / "codes.npy"))


@pytest.mark.parametrize("case", CASES)
def test_golden_headers_read_the_same(case: str) -> None:
    header = nncodec.read_header((ROOT / case / "bitstream.bin").read_bytes())
    assert header_facts(header) == json.loads((ROOT / case / "header.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_encoder_still_writes_the_golden_containers(case: str) -> None:
    np.testing.assert_array_equal(CASES[case].codes(), np.load(ROOT / case / "codes.npy"))
    assert encoded(case).data == (ROOT / case / "bitstream.bin").read_bytes()


def test_every_golden_folder_is_a_case() -> None:
    assert {folder.name for folder in ROOT.iterdir()} == set(CASES)
