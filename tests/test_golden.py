"""Every container ever published decodes to the same bits; a missing golden file is a failure."""

import json

import numpy as np
import pytest

import nncodec
from nncodec.codec import encode_source
from tests.golden import ROOT
from tests.golden.generate import CASES, header_facts


@pytest.mark.parametrize("case", CASES)
def test_golden_containers_decode(case: str) -> None:
    container = (ROOT / case / "bitstream.bin").read_bytes()
    np.testing.assert_array_equal(nncodec.decode(container), np.load(ROOT / case / "codes.npy"))


@pytest.mark.parametrize("case", CASES)
def test_golden_headers_read_the_same(case: str) -> None:
    header = nncodec.read_header((ROOT / case / "bitstream.bin").read_bytes())
    assert header_facts(header) == json.loads((ROOT / case / "header.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_the_encoder_still_writes_the_golden_containers(case: str) -> None:
    codes, source = CASES[case]
    np.testing.assert_array_equal(codes(), np.load(ROOT / case / "codes.npy"))
    container = (ROOT / case / "bitstream.bin").read_bytes()
    assert encode_source(codes(), source).data == container


def test_every_golden_folder_is_a_case() -> None:
    assert {folder.name for folder in ROOT.iterdir()} == set(CASES)
