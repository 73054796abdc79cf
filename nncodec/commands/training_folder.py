"""What a training is made of and where: its configurations, and the folder that keeps them.

A training folder holds the configuration files as they were given, `resolved_config.json` with the
values of all keys, the last checkpoint, the curve so far, and in the end the float network and the
model; the curve's picture and TensorBoard's events too, where these are installed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nncodec.errors import NncodecError
from nncodec.files.model_choice import AUTO
from nncodec.files.model_files import ADAPTIVE
from nncodec.files.streams import file_label, naming, open_input, open_output
from nncodec.training.networks.registry import config_class

if TYPE_CHECKING:
    from nncodec.training.configs import ConfigFile, InputConfig, ModelConfig, TrainingConfig
    from nncodec.training.data.code_reading import Layers
    from nncodec.training.data.code_sets import CodeSets
    from nncodec.training.distributed import ProcessGroup

CHECKPOINT = "checkpoint.safetensors"
MODEL = "model.safetensors"
NETWORK = "network.safetensors"
RESOLVED = "resolved_config.json"


@dataclass(frozen=True)
class Given:
    """What the command was given, before any codes are read.

    Attributes:
        name: of the network, ADAPTIVE, or AUTO.
        input_: which codes.
        model, training: the configuration files; None for defaults.
        files: all configuration files, by the names under which the training folder keeps them.
        layer_depth: in place of the one in the model's file, or None.
        minutes: that the steps may take, or None.
    """

    name: str
    input_: InputConfig
    model: ConfigFile | None
    training: ConfigFile | None
    files: dict[str, ConfigFile]
    layer_depth: int | None = None
    minutes: float | None = None

    @property
    def layers(self) -> Layers:
        """The layers into which the codes are cut, as far as the model's file says."""
        from nncodec.training.configs import ModelConfig, make_config
        from nncodec.training.data.code_reading import Layers

        values = self._model_values()
        known = {key: values[key] for key in ModelConfig.model_fields if key in values}
        with naming(self.model.label if self.model else "--layer-depth"):
            checked = make_config(ModelConfig, {"layer_depth": 1, "layer_count": 1 << 30, **known})
        return Layers(
            checked.layer_depth if "layer_depth" in known else None,
            checked.layer_count if "layer_count" in known else None,
            checked.coded_layer_count,
        )

    def training_config(self, bits: float, group: ProcessGroup | None = None) -> TrainingConfig:
        """Makes the configuration of a training on so many bits, as `plan.training_config`."""
        from nncodec.training.plan import training_config

        device = group.device if group else None
        if self.training is None:
            return training_config({}, bits, device)
        with naming(self.training.label):
            return training_config(self.training.values, bits, device)

    def model_config(self, name: str, found: dict[str, int]) -> ModelConfig:
        """Makes the configuration of a model.

        Args:
            name: of its network, or ADAPTIVE.
            found: keys and values of the codes that hold unless the file has others.
        """
        from nncodec.training.configs import ModelConfig, make_config

        kind = ModelConfig if name == ADAPTIVE else config_class(name)
        with naming(self.model.label if self.model else name):
            return make_config(kind, {**found, **self._model_values()})

    def _model_values(self) -> dict[str, Any]:
        given = {} if self.layer_depth is None else {"layer_depth": self.layer_depth}
        return {**(self.model.values if self.model else {}), **given}


@dataclass(frozen=True)
class Configs:
    """The configurations of a training, with all that follows from its codes.

    Attributes:
        name: of the network, or ADAPTIVE.
        model, training, input_: the configurations.
    """

    name: str
    model: ModelConfig
    training: TrainingConfig
    input_: InputConfig

    def facts(self) -> dict[str, Any]:
        model_config = self.model.model_dump()
        return {"model": self.name, "model_config": model_config, "data": self.input_.data}


@dataclass(frozen=True)
class TrainingFolder:
    """The folder of a training.

    Attributes:
        folder: its path.
        resume: whether it may have something to go on from.
    """

    folder: str
    resume: bool

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def prepare(self) -> None:
        """Makes the folder.

        Raises:
            NncodecError: it cannot be made, or is not empty and not to be gone on in.
        """
        with naming(file_label(self.folder)):
            if os.path.exists(self.folder) and not os.path.isdir(self.folder):
                raise NncodecError("is no folder; name another")
            os.makedirs(self.folder, exist_ok=True)
            if os.listdir(self.folder) and not self.resume:
                raise NncodecError(
                    "is not empty; add --resume to go on in it, or name another folder"
                )

    def configs(
        self, given: Given, sets: CodeSets, group: ProcessGroup | None = None
    ) -> tuple[Configs, bool]:
        """Decides what the codes leave to be decided: the network, its form, how long it trains.

        Args:
            given: to the command.
            sets: the codes.
            group: the processes that train a network together, if there will be one.

        Returns:
            The configurations, and whether steps are still to be fitted into the minutes given. A
            training that goes on has what was decided when it began.
        """
        from nncodec.training.configs import TrainingConfig, make_config
        from nncodec.training.plan import bits_of, choose_network, with_steps

        before = self._decided()
        name, bits, layers = given.name, bits_of(sets.training), sets.layers
        if name == AUTO:
            name, words = choose_network(bits)
            layers |= words
        if name != ADAPTIVE and "frame_before" in config_class(name).model_fields:
            layers["frame_before"] = sets.training.sequence
        training = given.training_config(bits, group)
        training = with_steps(training, sets.training, group.count if group else 1)
        timed = given.minutes is not None
        if before and not given.training:
            training, timed = make_config(TrainingConfig, before["train_config"]), False
        elif before and timed:
            keys = ("steps", "steps_per_evaluation")
            known = {key: before["train_config"][key] for key in keys}
            training, timed = training.model_copy(update=known), False
        return Configs(name, given.model_config(name, layers), training, given.input_), timed

    def save_configs(self, configs: Configs, files: dict[str, ConfigFile]) -> None:
        """Writes the configuration files as they were given, and what they mean."""
        contents = {name: file.content for name, file in files.items()}
        resolved = {
            "model": configs.name,
            "model_config": configs.model.model_dump(),
            "train_config": configs.training.model_dump(),
            "input_config": configs.input_.model_dump(),
        }
        contents[RESOLVED] = json.dumps(resolved, indent=2).encode() + b"\n"
        for name, content in contents.items():
            with open_output(self.path(name), force=True) as file:
                file.write(content)

    def _decided(self) -> dict[str, Any] | None:
        """Reads what a training that goes on was, if it got so far as to say."""
        path = self.path(RESOLVED)
        if not (self.resume and os.path.exists(path)):
            return None
        with open_input(path) as (stream, _):
            try:
                resolved = json.load(stream)
                return {"train_config": resolved["train_config"]}
            except (ValueError, KeyError, TypeError) as error:
                raise NncodecError("is damaged; bring it back, or begin in a new folder") from error


def read_given(
    name: str,
    *,
    data: tuple[str, ...],
    validation: tuple[str, ...],
    layer_depth: int | None,
    axes: str,
    minutes: float | None,
    model_config: str | None,
    train_config: str | None,
    input_config: str | None,
) -> Given:
    """Reads and checks the configuration files, as far as that goes before codes are read.

    Raises:
        NncodecError: one cannot be read, or a key is unknown or missing, or has no possible value.
    """
    from nncodec.training.configs import InputConfig, make_config, read_config_file

    paths = {"model_config": model_config, "train_config": train_config}
    paths["input_config"] = input_config
    files = {key: read_config_file(path) for key, path in paths.items() if path}
    input_file = files.get("input_config")
    words: dict[str, Any] = dict(input_file.values) if input_file else {"unique_code_size": False}
    if data:
        words["data"] = data[0] if len(data) == 1 else list(data)
    if validation:
        words["validation"] = list(validation)
    if axes != AUTO:
        words["axes"] = axes
    with naming(input_file.label if input_file else "--data or --axes"):
        input_ = make_config(InputConfig, words)
    given = Given(
        name,
        input_,
        files.get("model_config"),
        files.get("train_config"),
        {f"{key}.json": file for key, file in files.items()},
        layer_depth,
        minutes,
    )
    given.training_config(0)
    if given.layers.layer_depth and given.layers.layer_count and name != AUTO:
        given.model_config(name, {})
    return given
