"""The three configurations of training: model, training and input, each one JSON object in a file.

They have the keys of the original entropy coder, whose files are taken as they are. Its trainer
kept them as `model_config.json`, `train_config.json` and `input_config.json`. All other keys are
optional, and unknown ones are refused. So are the files; what holds without them is in plan.py.
pydantic checks every value, once; an error is one line.
"""

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from nncodec.errors import NncodecError
from nncodec.files.streams import naming, open_input

SYNTHETIC = "synthetic"
"""In place of a path, codes drawn on the fly."""

_LARGEST = 1e30  # float32 ends at 3e38
_TYPES = {bool: "true or false", int: "a whole number", float: "a number"}
_BOUNDS = (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
_ORDER = {"extra_forbidden": 0, "invalid_key": 0, "missing": 1}

Count = Annotated[int, Field(ge=1)]
NotNegativeCount = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, le=_LARGEST)]
NotNegative = Annotated[float, Field(ge=0, le=_LARGEST)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Config(BaseModel):
    """A configuration. Of its values, only whole numbers are converted, where floats are meant."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


AnyConfig = TypeVar("AnyConfig", bound=Config)


class ModelConfig(Config):
    """The configuration of every model. Its keys have the original's meaning.

    Attributes:
        layer_depth: bits of a layer at a position.
        layer_count: the most layers of the model.
        coded_layer_count: how many layers, from the first, are trained on and predicted at all; 0
            for as many as the codes have.
    """

    layer_depth: Count
    layer_count: Count
    coded_layer_count: NotNegativeCount = 0

    @model_validator(mode="after")
    def _check_coded_layer_count(self) -> "ModelConfig":
        if self.coded_layer_count > self.layer_count:
            raise ValueError(
                f"coded_layer_count must be at most {self.layer_count} (layer_count), "
                f"not {self.coded_layer_count}"
            )
        return self


class TrainingConfig(Config):
    """How a network is trained. The first four keys are the original's and have no defaults.

    That holds for a file with `decay_rate` or `samples_per_decay`, as the original's have. To one
    with neither, the defaults of plan.py apply, and no key has to be there.

    Attributes:
        batch_size: samples of a step, in each process.
        learning_rate: of Adam, before it decays.
        decay_rate: what the learning rate is multiplied by after every `samples_per_decay` samples.
        samples_per_decay: samples between two such decays.
        batch_bits: in place of `batch_size`, about how many code bits a step has in each process:
            samples of similar sizes, cropped to the smallest of them, or a piece of one that has
            more than twice as many; 0 for `batch_size`.
        epsilon: what Adam adds to the root of its uncorrected second moments, as TensorFlow does.
            The default is the original's. It makes early steps tiny, so other learning rates need
            another: 1e-8 with one of 0.001.
        optimiser: "original", Adam with the betas 0.9 and 0.999 and with epsilon as above, or
            "adamw", with 0.9 and 0.98, and epsilon beside the corrected second moments.
        schedule: "staircase", the decay above, or "cosine", from the learning rate to `final_rate`
            times that over `steps`, which needs no decay.
        final_rate: see there.
        warmup_steps: steps over which the learning rate rises to its value.
        steps: the most steps.
        passes: in place of `steps` and `steps_per_evaluation`, how often all codes are seen, within
            bounds (plan.py), with twenty evaluations; 0 for `steps`.
        input_dropout: the share of bits that are hidden from the network where it looks at them.
        weight_decay: of all parameters, decoupled from the gradient (AdamW).
        clip_norm: the most that the norm of a gradient may be; 0 for any.
        mixed_precision: whether to compute in bfloat16 where that is safe.
        crop: height and width of the random piece that is trained on of each sample, so that mixed
            sizes share a batch; 0 for whole samples.
        validation_share: the share of files, or of TFRecord samples, chosen at random, that is
            never trained on. With 0 there is no validation: the last parameters are kept.
        steps_per_evaluation: steps from one evaluation, and checkpoint, to the next.
        patience: how many evaluations in a row may bring nothing better before training stops.
        seed: of all random numbers.
        start_fitting: when the start of the adaptive stage is fitted. "first": before the network,
            which is then trained on what the stage leaves, and is worth less by itself. "last":
            after the network, which is trained by itself. "auto": first, where there are at most
            2^25 code bits.
    """

    batch_size: Count
    learning_rate: Positive
    decay_rate: Annotated[float, Field(gt=0, le=1)]
    samples_per_decay: Positive
    batch_bits: NotNegativeCount = 0
    epsilon: Positive = 1.0
    optimiser: Literal["original", "adamw"] = "original"
    schedule: Literal["staircase", "cosine"] = "staircase"
    final_rate: Share = 0.0
    warmup_steps: NotNegativeCount = 0
    steps: Count = 50_000
    passes: NotNegative = 0.0
    input_dropout: Share = 0.0
    weight_decay: NotNegative = 0.0
    clip_norm: NotNegative = 0.0
    mixed_precision: bool = False
    crop: NotNegativeCount = 0
    validation_share: Share = 0.1
    steps_per_evaluation: Count = 200
    patience: Count = 15
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    start_fitting: Literal["auto", "first", "last"] = "auto"

    def learning_rate_at(self, step: int, batch_size: int) -> float:
        """Computes the learning rate of a step.

        Args:
            step: from 0.
            batch_size: samples of a step in all processes together.
        """
        warmup = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        if self.schedule == "cosine":
            decay = (1 + math.cos(math.pi * min(1.0, step / self.steps))) / 2
            decay = self.final_rate + (1 - self.final_rate) * decay
        else:  # no decay within a step: the original's rule for batches above samples_per_decay
            steps_per_decay = max(1.0, self.samples_per_decay / batch_size)
            decay = self.decay_rate ** math.floor(step / steps_per_decay)
        return self.learning_rate * warmup * decay


class InputConfig(Config):
    """The codes that a network is trained on.

    Paths are relative to the current folder. Each is a TFRecord file, a code file, a folder of
    files that end with .npz, .npy, .tfrecord or .tfrecords, or a glob.

    Attributes:
        data: a path, several in a list, or "synthetic".
        unique_code_size: whether all codes have the same size.
        axes: of the arrays of code files, as for `read_code_file`; if the first few files agree in
            what "auto" finds, others that look like them are not tried. With a t, pictures are
            frames, and trained on as a sequence.
        validation: paths of codes that are never trained on, also where they are among `data`;
            without them, `validation_share` of the data.
    """

    data: Annotated[str | list[str], Field(min_length=1, description="a path or some paths")]
    unique_code_size: bool
    axes: Annotated[
        str,
        Field(
            pattern="^(auto|[lnthwc,]+)$", description="auto, or letters, as in lnhwc or hwc,chw"
        ),
    ] = "auto"
    validation: Annotated[str | list[str], Field(description="a path or some paths")] = []


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file that holds one JSON object.

    Attributes:
        label: its name, for messages.
        content: its bytes.
        values: its object.
    """

    label: str
    content: bytes
    values: dict[str, Any]

    def parse(self, kind: type[AnyConfig]) -> AnyConfig:
        """Makes a configuration of the object.

        Raises:
            NncodecError: a key is unknown or missing, or a value has the wrong type or is out of
                range.
        """
        with naming(self.label):
            return make_config(kind, self.values)


def read_config_file(path: str) -> ConfigFile:
    """Reads a configuration file.

    Raises:
        NncodecError: it cannot be read, or holds no JSON object.
    """
    with open_input(path) as (stream, label):
        content = stream.read()
        try:
            values = json.loads(
                content, object_pairs_hook=_object_of_unique_keys, parse_constant=_refuse_constant
            )
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())
            raise NncodecError(f"is no JSON ({reason}); correct it there") from error
        if not isinstance(values, dict):
            raise NncodecError('must be a JSON object; write {"key": value, ...}')
        return ConfigFile(label, content, values)


def make_config(kind: type[AnyConfig], values: Mapping[str, Any]) -> AnyConfig:
    """Makes a configuration of keys and values; as `ConfigFile.parse`, without the file's name."""
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise NncodecError(_complaint(kind, values, error)) from None


def _complaint(kind: type[Config], values: Mapping[str, Any], error: ValidationError) -> str:
    """Puts one error into a line: of unknown keys first, because a key may be misspelt."""
    errors = sorted(error.errors(), key=lambda details: _ORDER.get(details["type"], len(_ORDER)))
    details = errors[0]
    if not details["loc"]:  # of a validator of several keys, which says it all
        return str(details["ctx"]["error"])
    key = str(details["loc"][0])
    if key not in kind.model_fields:
        return f"unknown key {key!r}; the keys are {', '.join(kind.model_fields)}"
    if details["type"] == "missing":
        return f"the key {key!r} is missing; add it"
    rule = _rule(kind.model_fields[key])
    return f"{key} must be {rule}, not {json.dumps(values[key], default=repr)}"


def _rule(field: FieldInfo) -> str:
    """Says which values a key takes."""
    if field.description:
        return field.description
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(get_args(field.annotation))}"
    (text,) = (text for kind, text in _TYPES.items() if field.annotation is kind)
    bounds = [
        f"{word} {getattr(bound, name)}"
        for bound in field.metadata
        for name, word in _BOUNDS
        if hasattr(bound, name)
    ]
    return f"{text}, {' and '.join(bounds)}" if bounds else text


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"the key {key!r} is there twice")
        values[key] = value
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def library_versions(*packages: str) -> dict[str, str]:
    """Gives the version of nncodec, of installed packages, and of Python, by name."""
    versions = {package: version(package) for package in ("nncodec", *packages)}
    return versions | {"python": platform.python_version()}
