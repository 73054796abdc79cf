"""The models that ship: whole, small, unchanged, and as good as benchmarks/README.md says."""

import hashlib
import json

import numpy as np
import pytest

import nncodec
from nncodec.files.model_files import list_models, model_folders
from nncodec.training.data import synthetic

SHIPPED = {
    "kodak-rnn": "18c49a1a27efce51",
    "progressive8x32": "86961f6d8cb670f1",
    "synthetic": "f90a67ba642b6e1b",
}
"""The ids that containers out there name: a model trained anew takes another name, beside these."""

DIGESTS = {
    "kodak-rnn": "29fc5a9e35143005450b8112980ed0478f14399f958d3eb8d503565b5aa30585",
    "progressive8x32": "45430d844ff254a78255132d7e4c190ee343e4a9a4800e0e4a8565d18856b2e0",
    "synthetic": "3caec61585b2f344ad33cb943613838b99873d2b220404e665a21b157b3261f6",
}
"""SHA-256 of the files."""


@pytest.fixture(autouse=True)
def no_other_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NNCODEC_MODELS", raising=False)


def test_they_are_these() -> None:
    found = {model.name: model.load().model_id.hex() for model in list_models()}
    assert found == SHIPPED


def test_their_files_never_change() -> None:
    found = {model.name: model.path.read_bytes() for model in list_models()}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == DIGESTS


def test_they_are_small_and_say_how_they_were_made() -> None:
    for found in list_models():
        assert found.path.stat().st_size < 2_000_000
        facts = found.load().facts
        assert {"model", "model_config", "training_config", "data", "steps", "versions"} <= set(
            facts
        )
        assert "/" not in json.dumps(facts)  # no path of the machine that trained it
    assert len(model_folders()) == 1


def test_synthetic_comes_near_the_entropy() -> None:
    samples = np.stack(list(synthetic.generate(40, seed=2**31)))
    codes = np.moveaxis(samples.reshape(40, 35, 48, 4, 2), 3, 0)
    data = nncodec.encode(codes)
    assert nncodec.read_header(data).model_id.hex() == SHIPPED["synthetic"]
    assert len(data) * 8 / codes.size < 0.7240 + 0.002  # what 40 samples differ from 200
    assert (nncodec.decode(data) == codes).all()


def test_kodak_rnn_is_chosen_only_where_it_pays() -> None:
    smooth = np.zeros((4, 1, 12, 12, 32), dtype=np.uint8)
    smooth[:, :, 3:8, 4:] = 1
    assert nncodec.read_header(nncodec.encode(smooth)).model_id == b""
