"""The three configuration files of training: model, training and input, each one JSON object.

They have the keys of the original entropy coder, whose files are taken as they are. Its trainer
kept them as `model_config.json`, `train_config.json` and `input_config.json`. All other keys are
optional, and unknown ones are refused. The words of a model configuration belong to its network
(`networks.registry`); here they are only read.
"""

import dataclasses
import json
import math
import operator
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, TypeVar, get_type_hints

from nncodec.errors import ModelError, NncodecError
from nncodec.files.streams import naming, open_input
from nncodec.format.source import LAYOUTS

Config = TypeVar("Config")
_Rule = tuple[str, Callable[[Any], bool]]

DEVICES = ("auto", "cpu", "cuda")
"""Where float networks compute; auto is CUDA where there is any."""

SYNTHETIC = "synthetic"
"""In place of a path, codes drawn on the fly."""

_POSITIVE: _Rule = ("above 0", lambda value: value > 0)
_NOT_NEGATIVE: _Rule = ("at least 0", lambda value: value >= 0)
_COUNT: _Rule = ("at least 1", lambda value: value >= 1)
_SHARE: _Rule = ("at least 0 and below 1", lambda value: 0 <= value < 1)

_TYPES: dict[Any, _Rule] = {
    bool: ("true or false", lambda value: type(value) is bool),
    # Python takes a bool for an int, JSON writes 1 for 1.0, and float32 ends at 3e38.
    int: ("a whole number", lambda value: type(value) is int),
    float: (
        "a number within -1e30 ... 1e30",
        lambda value: type(value) in (int, float) and abs(value) <= 1e30,
    ),
    str: ("a string", lambda value: type(value) is str),
    str | list[str]: (
        "a string or a list of strings",
        lambda value: (
            isinstance(value, str)
            or (isinstance(value, list) and all(isinstance(item, str) for item in value))
        ),
    ),
}


def _one_of(*choices: str) -> _Rule:
    return f"one of {', '.join(choices)}", lambda value: value in choices


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a network is trained. The first four keys are the original's and have no defaults.

    Attributes:
        batch_size: samples of a step, in each process.
        learning_rate: of Adam, before it decays.
        decay_rate: what the learning rate is multiplied by after every `samples_per_decay` samples.
        samples_per_decay: samples between two such decays.
        epsilon: what Adam adds to the root of its uncorrected second moments, as TensorFlow does.
            The default is the original's. It makes early steps tiny, so other learning rates need
            another: 1e-8 with one of 0.001.
        schedule: "staircase", the decay above, or "cosine", from the learning rate to 0 over
            `steps`, which needs no decay.
        warmup_steps: steps over which the learning rate rises to its value.
        steps: the most steps.
        input_dropout: the share of bits that are hidden from the network where it looks at them.
        weight_decay: of all parameters, decoupled from the gradient (AdamW).
        clip_norm: the most that the norm of a gradient may be; 0 for any.
        mixed_precision: whether to compute in bfloat16 where that is safe.
        crop: height and width of the random piece that is trained on of each sample, so that mixed
            sizes share a batch; 0 for whole samples.
        validation_share: the share of files, or of TFRecord samples, that is never trained on. With
            0 there is no validation: the last parameters are kept.
        steps_per_evaluation: steps from one evaluation, and checkpoint, to the next.
        patience: how many evaluations in a row may bring nothing better before training stops.
        seed: of all random numbers.
        start_fitting: when the start of the adaptive stage is fitted. "first": before the network,
            which is then trained on what the stage leaves, and is worth less by itself. "last":
            after the network, which is trained by itself. "auto": first, where the network has an
            integer form and there are at most 2^25 code bits.

    Raises:
        NncodecError: a value is out of range.
    """

    batch_size: int
    learning_rate: float
    decay_rate: float
    samples_per_decay: float
    epsilon: float = 1.0
    schedule: str = "staircase"
    warmup_steps: int = 0
    steps: int = 50_000
    input_dropout: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    mixed_precision: bool = False
    crop: int = 0
    validation_share: float = 0.1
    steps_per_evaluation: int = 200
    patience: int = 15
    seed: int = 0
    start_fitting: str = "auto"

    def __post_init__(self) -> None:
        _check_rules(
            self,
            {
                "batch_size": _COUNT,
                "learning_rate": _POSITIVE,
                "decay_rate": ("above 0 and at most 1", lambda value: 0 < value <= 1),
                "samples_per_decay": _POSITIVE,
                "epsilon": _POSITIVE,
                "schedule": _one_of("staircase", "cosine"),
                "warmup_steps": _NOT_NEGATIVE,
                "steps": _COUNT,
                "input_dropout": _SHARE,
                "weight_decay": _NOT_NEGATIVE,
                "clip_norm": _NOT_NEGATIVE,
                "crop": _NOT_NEGATIVE,
                "validation_share": _SHARE,
                "steps_per_evaluation": _COUNT,
                "patience": _COUNT,
                "start_fitting": _one_of("auto", "first", "last"),
                "seed": ("within 0 ... 2^32 - 1", lambda value: 0 <= value < 1 << 32),
            },
        )

    def learning_rate_at(self, step: int, batch_size: int) -> float:
        """The learning rate of a step.

        Args:
            step: from 0.
            batch_size: samples of a step in all processes together.
        """
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "cosine":
            decay = (1 + math.cos(math.pi * min(1.0, step / self.steps))) / 2
        else:  # no decay within a step: the original's rule for batches above samples_per_decay
            steps_per_decay = max(1.0, self.samples_per_decay / batch_size)
            decay = self.decay_rate ** math.floor(step / steps_per_decay)
        return self.learning_rate * warmup * decay


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """What a network is trained on.

    Paths are relative to the current folder. Each is a TFRecord file, a code file, a folder of
    files that end with .npz, .npy, .tfrecord or .tfrecords, or a glob.

    Attributes:
        data: a path, several in a list, or "synthetic".
        unique_code_size: whether all codes have the same size.
        layout: of code files: "nhwc", "nchw", or "auto", for each file the cheaper one.
        validation: paths of codes that are never trained on, also where they are among `data`;
            without them, `validation_share` of the data.

    Raises:
        NncodecError: a value is out of range.
    """

    data: str | list[str]
    unique_code_size: bool
    layout: str = "auto"
    validation: str | list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        named = ("a path or some paths", bool)
        _check_rules(self, {"data": named, "layout": _one_of("auto", *LAYOUTS)})


@dataclass(frozen=True)
class Layers:
    """The words of a model configuration that codes have to fit.

    Attributes:
        layer_depth: bits of a layer at a position.
        layer_count: the most layers of the model.
        coded_layer_count: how many layers are trained on, from the first, of codes that may have
            any number; 0 for all layers of all codes.

    Raises:
        ModelError: a number is out of range.
    """

    layer_depth: int
    layer_count: int
    coded_layer_count: int = 0

    def __post_init__(self) -> None:
        if self.layer_depth < 1 or self.layer_count < 1:
            raise ModelError("layer_depth and layer_count must be at least 1")
        if not 0 <= self.coded_layer_count <= self.layer_count:
            raise ModelError(
                f"coded_layer_count must be within 0 ... {self.layer_count} (layer_count), "
                f"not {self.coded_layer_count}"
            )


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that holds one JSON object.

    Attributes:
        label: its name, for messages.
        content: its bytes.
        words: its object.
    """

    label: str
    content: bytes
    words: dict[str, Any]

    def parse(self, kind: type[Config]) -> Config:
        """Makes a configuration of the words.

        Args:
            kind: a dataclass of `bool`, `int`, `float`, `str` and lists of `str`.

        Raises:
            NncodecError: a key is unknown or missing, or a value has the wrong type or is out of
                range.
        """
        with naming(self.label):
            return make_config(kind, self.words)


def read_config_file(path: str) -> ConfigFile:
    """Reads a configuration file.

    Raises:
        NncodecError: it cannot be read, or holds no JSON object.
    """
    with open_input(path) as (stream, label):
        content = stream.read()
        try:
            words = json.loads(
                content, object_pairs_hook=_object_of_unique_keys, parse_constant=_refuse_constant
            )
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise NncodecError(f"is no JSON ({reason}); correct it there") from error
        if not isinstance(words, dict):
            raise NncodecError('must be a JSON object; write {"key": value, ...}')
        return ConfigFile(label, content, words)


def make_config(kind: type[Config], words: Mapping[str, Any]) -> Config:
    """Makes a configuration of words; as `ConfigFile.parse`, without the name of a file."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # any dataclass
    known = [field.name for field in fields]
    for key in words:
        if key not in known:
            raise NncodecError(f"unknown key {key!r}; the keys are {', '.join(known)}")
    nothing = dataclasses.MISSING
    for field in fields:
        if field.name not in words and field.default is field.default_factory is nothing:
            raise NncodecError(f"the key {field.name!r} is missing; add it")
    types = get_type_hints(kind)
    return kind(**{key: _typed(key, value, types[key]) for key, value in words.items()})


def _typed(key: str, value: Any, wanted: Any) -> Any:
    rule, holds = _TYPES[wanted]
    if not holds(value):
        raise NncodecError(f"{key} must be {rule}, not {json.dumps(value)}")
    return float(value) if wanted is float else value


def _check_rules(config: object, rules: Mapping[str, _Rule]) -> None:
    for word, (text, holds) in rules.items():
        value = operator.attrgetter(word)(config)
        if not holds(value):
            raise NncodecError(f"{word} must be {text}, not {json.dumps(value)}")


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for key, value in pairs:
        if key in words:
            raise ValueError(f"the key {key!r} is there twice")
        words[key] = value
    return words


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def library_versions(*packages: str) -> dict[str, str]:
    """The version of nncodec, of installed packages, and of Python, by name."""
    versions = {package: version(package) for package in ("nncodec", *packages)}
    return versions | {"python": platform.python_version()}
