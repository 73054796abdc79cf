"""A network that trains in no time, and a run of it that other processes can make.

python -m tests.tiny_network FOLDER STEPS
python -m torch.distributed.run --nproc-per-node 2 -m tests.tiny_network FOLDER STEPS
"""

import sys
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from nncodec.model.network.integer_network import IntegerNetwork
from nncodec.training.configs import ModelConfig, TrainingConfig, make_config
from nncodec.training.data.batches import CodeSet
from nncodec.training.distributed import ProcessGroup, join_process_group
from nncodec.training.networks.network import Network
from nncodec.training.trainer import Trainer
from tests.samples import averaged_codes

LAYER_DEPTH = 4


class TinyConfig(ModelConfig):
    """The configuration of every model."""


class Tiny(Network):
    """Sees the left neighbour and the layer before; every layer has weights of its own."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        depth = config.layer_depth
        self.maps = nn.ModuleList(nn.Linear(2 * depth, depth) for _ in range(config.layer_count))

    def predict(
        self, layers: Tensor, present: Tensor | None = None, frame_before: Tensor | None = None
    ) -> Tensor:
        before = torch.zeros_like(layers[0])
        logits = []
        for bits, layer_map in zip(layers, self.maps, strict=False):
            left = F.pad(bits, (0, 0, 1, 0))[:, :, :-1]
            logits.append(layer_map(torch.cat([left, before], dim=-1)))
            before = bits
        return torch.stack(logits)

    def quantise(self) -> IntegerNetwork:
        raise NotImplementedError("it is trained, and codes nothing")


def tiny(seed: int = 0, layer_count: int = 3) -> Tiny:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tiny(TinyConfig(layer_depth=LAYER_DEPTH, layer_count=layer_count))


def code_sets() -> tuple[CodeSet, CodeSet]:
    """Eleven and three samples of two sizes and of two or three layers."""
    shapes = [(3, 5, 8, 7), (2, 1, 8, 7), (3, 5, 7, 8), (3, 3, 8, 7)]
    files = [averaged_codes((*shape, LAYER_DEPTH), seed=seed) for seed, shape in enumerate(shapes)]
    return CodeSet(files[:3]), CodeSet(files[3:])


def config(**words: Any) -> TrainingConfig:
    original = {
        "batch_size": 4,
        "learning_rate": 0.01,
        "decay_rate": 0.9,
        "samples_per_decay": 40,
        "epsilon": 1e-8,
        "steps_per_evaluation": 5,
    }
    return make_config(TrainingConfig, original | words)


def trainer(group: ProcessGroup | None = None, **words: Any) -> Trainer:
    return Trainer(tiny(), *code_sets(), config(**words), group)


def main() -> None:
    folder, steps = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    with join_process_group("cpu") as group:
        run = trainer(group, batch_size=4 // group.count, steps=steps, patience=steps)
        trained = run.run(f"{folder}/checkpoint.safetensors")
        save_file(trained.network.state_dict(), f"{folder}/rank{group.rank}.safetensors")


if __name__ == "__main__":
    main()
