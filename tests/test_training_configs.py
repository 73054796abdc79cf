"""Configuration files: the original's are taken as they are, and everything else is named."""

import json
import math
import pathlib
from typing import Any

import pytest

from nncodec.errors import NncodecError
from nncodec.training.configs import (
    InputConfig,
    TrainingConfig,
    make_config,
    read_config_file,
)

ORIGINAL = {"batch_size": 4, "learning_rate": 0.1, "decay_rate": 0.9, "samples_per_decay": 20000}
INPUT = {"data": "codes", "unique_code_size": True}


def training(**words: Any) -> TrainingConfig:
    return make_config(TrainingConfig, ORIGINAL | words)


def write(folder: pathlib.Path, text: str | bytes) -> str:
    path = folder / "config.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def refusal(path: str, kind: type = TrainingConfig) -> str:
    with pytest.raises(NncodecError) as caught:
        read_config_file(path).parse(kind)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# --- what is read ------------------------------------------------------------------------------


def test_original_files_are_taken_unchanged(tmp_path: pathlib.Path) -> None:
    # Verbatim, as its data set of synthetic codes comes with.
    train = write(
        tmp_path,
        '{\n  "batch_size": 4,\n  "learning_rate": 0.1,\n  "decay_rate": 0.9,\n'
        '  "samples_per_decay": 20000\n}\n',
    )
    assert read_config_file(train).parse(TrainingConfig) == TrainingConfig(
        batch_size=4, learning_rate=0.1, decay_rate=0.9, samples_per_decay=20000.0
    )
    codes = write(tmp_path, '{\n  "data": "train.tfrecord",\n  "unique_code_size": true\n}\n')
    assert read_config_file(codes).parse(InputConfig) == InputConfig(
        data="train.tfrecord", unique_code_size=True
    )
    model = write(tmp_path, '{\n  "layer_depth": 2,\n  "layer_count": 8\n}\n')
    assert read_config_file(model).values == {"layer_depth": 2, "layer_count": 8}


def test_without_further_keys_a_file_means_what_it_meant() -> None:
    config = training()
    assert config.epsilon == 1.0
    assert config.schedule == "staircase"
    for word in ("warmup_steps", "input_dropout", "weight_decay", "clip_norm", "crop"):
        assert getattr(config, word) == 0
    assert not config.mixed_precision


def test_a_file_is_kept_as_it_is(tmp_path: pathlib.Path) -> None:
    content = '{ "layer_depth":2, "é": "\\u00e9" }'.encode()
    file = read_config_file(write(tmp_path, content))
    assert file.content == content
    assert file.values == {"layer_depth": 2, "é": "é"}


def test_whole_numbers_are_numbers_too() -> None:
    config = training(learning_rate=1)
    assert config.learning_rate == 1.0
    assert type(config.learning_rate) is float


def test_paths_may_be_several() -> None:
    config = make_config(InputConfig, INPUT | {"data": ["a", "b"], "validation": "c"})
    assert config.data == ["a", "b"]
    assert config.validation == "c"
    assert make_config(InputConfig, INPUT).validation == []


# --- the learning rate -------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [4, 8, 3])
def test_staircase(batch_size: int) -> None:
    config = training(samples_per_decay=100)
    for step in range(200):
        expected = 0.1 * 0.9 ** math.floor(step / (100 / batch_size))
        assert config.learning_rate_at(step, batch_size) == pytest.approx(expected, rel=1e-12)
    first = next(step for step in range(200) if config.learning_rate_at(step, batch_size) < 0.1)
    assert first == math.ceil(100 / batch_size)


def test_staircase_decays_once_a_step_at_most() -> None:
    config = training(samples_per_decay=3)
    rates = [config.learning_rate_at(step, 12) for step in range(3)]
    assert rates == pytest.approx([0.1, 0.09, 0.081])


def test_cosine() -> None:
    config = training(schedule="cosine", steps=100)
    rates = [config.learning_rate_at(step, 4) for step in range(101)]
    assert rates[0] == 0.1
    assert rates[50] == pytest.approx(0.05)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert rates == sorted(rates, reverse=True)
    assert config.learning_rate_at(130, 4) == pytest.approx(0, abs=1e-12)  # resumed with more steps


def test_cosine_to_a_share() -> None:
    config = training(schedule="cosine", steps=100, final_rate=0.2)
    rates = [config.learning_rate_at(step, 4) for step in (0, 50, 100, 130)]
    assert rates == pytest.approx([0.1, 0.06, 0.02, 0.02])


def test_warmup() -> None:
    config = training(warmup_steps=4)
    rates = [config.learning_rate_at(step, 4) for step in range(6)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


# --- refusals ----------------------------------------------------------------------------------


def test_unknown_key(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, json.dumps(INPUT | {"dat": 1}))
    assert refusal(path, InputConfig) == (
        "unknown key 'dat'; the keys are data, unique_code_size, axes, validation"
    )
    path = write(tmp_path, json.dumps(ORIGINAL | {"learning rate": 1}))
    message = refusal(path, TrainingConfig)
    assert message.startswith("unknown key 'learning rate'; the keys are batch_size, learning_rate")
    path = write(tmp_path, json.dumps(ORIGINAL | {"": 1, "steps": 0}))
    assert refusal(path, TrainingConfig).startswith("unknown key ''; the keys are batch_size")


@pytest.mark.parametrize("key", ORIGINAL)
def test_missing_key(tmp_path: pathlib.Path, key: str) -> None:
    words = {word: value for word, value in ORIGINAL.items() if word != key}
    path = write(tmp_path, json.dumps(words))
    assert refusal(path, TrainingConfig) == f"the key '{key}' is missing; add it"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("batch_size", "4", 'a whole number, at least 1, not "4"'),
        ("batch_size", 4.0, "a whole number, at least 1, not 4.0"),
        ("batch_size", True, "a whole number, at least 1, not true"),
        ("batch_size", None, "a whole number, at least 1, not null"),
        ("batch_size", 0, "a whole number, at least 1, not 0"),
        ("learning_rate", "0.1", 'a number, above 0 and at most 1e+30, not "0.1"'),
        ("learning_rate", [0.1], "a number, above 0 and at most 1e+30, not [0.1]"),
        ("learning_rate", False, "a number, above 0 and at most 1e+30, not false"),
        ("learning_rate", 2e30, "a number, above 0 and at most 1e+30, not 2e+30"),
        ("learning_rate", 10**400, f"a number, above 0 and at most 1e+30, not {10**400}"),
        ("learning_rate", 0, "a number, above 0 and at most 1e+30, not 0"),
        ("decay_rate", 1.5, "a number, above 0 and at most 1, not 1.5"),
        ("decay_rate", 0, "a number, above 0 and at most 1, not 0"),
        ("samples_per_decay", -1, "a number, above 0 and at most 1e+30, not -1"),
        ("epsilon", 0, "a number, above 0 and at most 1e+30, not 0"),
        ("batch_bits", -1, "a whole number, at least 0, not -1"),
        ("passes", -1, "a number, at least 0 and at most 1e+30, not -1"),
        ("optimiser", "sgd", 'one of original, adamw, not "sgd"'),
        ("final_rate", 1, "a number, at least 0 and below 1, not 1"),
        ("schedule", 1, "one of staircase, cosine, not 1"),
        ("schedule", "linear", 'one of staircase, cosine, not "linear"'),
        ("warmup_steps", -1, "a whole number, at least 0, not -1"),
        ("steps", 0, "a whole number, at least 1, not 0"),
        ("input_dropout", 1, "a number, at least 0 and below 1, not 1"),
        ("weight_decay", -0.5, "a number, at least 0 and at most 1e+30, not -0.5"),
        ("clip_norm", -1, "a number, at least 0 and at most 1e+30, not -1"),
        ("mixed_precision", 1, "true or false, not 1"),
        ("crop", -8, "a whole number, at least 0, not -8"),
        ("validation_share", 1.0, "a number, at least 0 and below 1, not 1.0"),
        ("steps_per_evaluation", 0, "a whole number, at least 1, not 0"),
        ("patience", 0, "a whole number, at least 1, not 0"),
        ("seed", 2**32, "a whole number, at least 0 and below 4294967296, not 4294967296"),
        ("start_fitting", "never", 'one of auto, first, last, not "never"'),
    ],
)
def test_wrong_training_values(
    tmp_path: pathlib.Path, key: str, value: Any, complaint: str
) -> None:
    path = write(tmp_path, json.dumps(ORIGINAL | {key: value}))
    assert refusal(path, TrainingConfig) == f"{key} must be {complaint}"


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("data", 1, "a path or some paths"),
        ("data", ["a", 1], "a path or some paths"),
        ("data", "", "a path or some paths"),
        ("data", [], "a path or some paths"),
        ("unique_code_size", "true", "true or false"),
        ("axes", "hwx", "auto, or letters, as in lnhwc or hwc,chw"),
        ("validation", {}, "a path or some paths"),
    ],
)
def test_wrong_input_values(tmp_path: pathlib.Path, key: str, value: Any, rule: str) -> None:
    path = write(tmp_path, json.dumps(INPUT | {key: value}))
    assert refusal(path, InputConfig) == f"{key} must be {rule}, not {json.dumps(value)}"


def test_a_number_that_no_float_holds(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, json.dumps(ORIGINAL).replace("0.1", "1e400"))
    assert refusal(path).startswith("learning_rate must be a number, above 0 and at most 1e+30")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no JSON (Expecting value: line 1 column 1 (char 0)); correct it there"),
        (b'{"a": 1,\n "b" 2}', "is no JSON (Expecting ':' delimiter: line 2 column 6 (char 14))"),
        (b'{"a": NaN}', "is no JSON (NaN is no number in JSON); correct it there"),
        (b'{"a": -Infinity}', "is no JSON (-Infinity is no number in JSON); correct it there"),
        (b'{"a": 1, "a": 2}', "is no JSON (the key 'a' is there twice); correct it there"),
        (b"\xff\xfe\xff", "is no JSON ("),
        (b"[" * 100_000, "is no JSON ("),
        (b"[1]", 'must be a JSON object; write {"key": value, ...}'),
        (b"3", 'must be a JSON object; write {"key": value, ...}'),
    ],
)
def test_no_json_object(tmp_path: pathlib.Path, content: bytes, reason: str) -> None:
    assert refusal(write(tmp_path, content)).startswith(reason)


def test_files_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "none.json")
    assert refusal(missing) == "no such file or folder; check the name"
    assert refusal(str(tmp_path)) == "is a directory; name a file in it"
