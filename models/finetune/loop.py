"""Training loop of fine-tuning: batches, updates, evaluations on dev and checkpoints.

Every random draw (order, crops, dropout) depends only on the seed and the number of the update, so a training that is
killed and continues from its checkpoint gives the same result as an uninterrupted one; on a CPU, bit for bit.

The new layer outputs the log-odds of the target. A ratio is learned as a number of likes in a number of swipes
(weighted cross-entropy); on dev, the loss of the target is computed.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import nn, torch
from photogenic.features.encoders.base import Backbone
from photogenic.features.encoders.device import Device, wide_gradients
from photogenic.models.data.array_types import Array
from photogenic.models.data.targets import Target
from photogenic.models.evaluation.metrics import log_loss, mse
from photogenic.models.finetune import checkpoints
from photogenic.models.finetune.augment import augmented
from photogenic.models.finetune.checkpoints import Checkpoint
from photogenic.models.finetune.recipes import GROUPS, Recipe
from photogenic.models.runs.tensorboard import Scalars
from photogenic.warehouse import Progress

__all__ = ["FinetuneData", "parts_of", "train_loop"]


@dataclass(frozen=True, slots=True)
class FinetuneData:
    """Training data and dev data.

    Attributes:
        pictures: pictures with a margin for crops, uint8 (m, side, side, 3).
        places: positions of the train pictures in `pictures`, (n,).
        y, weight: labels and weights of train, (n,).
        dev: pictures as the encoder reads them, labels and weights of dev.
        backbone: backbone, which defines the input picture.
        layer: layer of the network whose output the new layer reads.
        drawn: whether the weights of the network started random. Then batch normalization learns its statistics; with
            published weights these are fixed, because batches are small.
    """

    target: Target
    pictures: NDArray[np.uint8]
    places: NDArray[np.intp]
    y: Array
    weight: Array
    dev: tuple[NDArray[np.uint8], Array, Array]
    backbone: Backbone
    layer: str
    dim: int
    drawn: bool


def train_loop(
    data: FinetuneData,
    network: nn.Module,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int,
    device: Device,
    progress: Progress,
) -> Checkpoint:
    """Train `network` and a new last layer; return the last checkpoint, whose best file has the lowest dev loss.

    Args:
        data: pictures and labels.
        network: network with separate batch normalization and without its classifier.
        recipe: recipe with its number of iterations.
        folder: folder of the checkpoints; the TensorBoard events are next to it. An existing checkpoint is continued.
        seed: seed of every random draw.
        device: device for torch.
        progress: callback for progress updates.
    """
    module = _with_head(network, data, recipe, seed)
    module.to(device.name, memory_format=torch.channels_last)  # type: ignore[call-overload]
    parts = parts_of(module)
    optimiser = _optimiser(recipe, parts)
    scaler = torch.amp.GradScaler(enabled=device.half and not wide_gradients())
    at = checkpoints.load(folder)
    if at is not None:
        progress.note(f"Continuing from update {at.step:,} of {recipe.iterations:,}.")
        checkpoints.restore(module, optimiser, checkpoints.read_tensors(folder / at.state))
        if at.scale:
            scaler.load_state_dict(at.scale)
    else:
        at = Checkpoint(0, [], 0, {}, 0, {})
    scale, log_every = data.weight.mean(), max(recipe.iterations // 1000, 1)
    steps = range(recipe.iterations if at.done else at.step, recipe.iterations)
    stage = progress.stage(f"updates of {data.backbone.name}", recipe.iterations, "updates", at_most=True)
    with Scalars(folder.with_name("tensorboard"), at.events) as scalars, stage as advance:
        advance(at.step)
        for step, rows, raw in _batches(data, steps, recipe.batch_size, seed):
            generator = torch.Generator().manual_seed(_seed_for(seed, 2, step))
            for group, part in enumerate(parts):
                for parameter in part:
                    parameter.requires_grad_(group == 0 or recipe.opens(step, group))
            for settings in optimiser.param_groups:
                settings["lr"] = recipe.rate(step, settings["part"])
            x = _to_device(raw, device)
            x = augmented(x, data.backbone.size, generator, least_crop=recipe.least_crop, light=recipe.light)
            y, w = (torch.from_numpy(v[rows].astype(np.float32)).to(device.name) for v in (data.y, data.weight))
            _set_mode(module, training=True, drawn=data.drawn)
            with _seeded_dropout(_seed_for(seed, 3, step), device), device.precision(training=True):
                z = module(_normalize(x, data.backbone))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(z.float(), y, weight=w / scale)
            optimiser.zero_grad()
            torch.autograd.backward(scaler.scale(loss))
            if recipe.clip:
                scaler.unscale_(optimiser)
                torch.nn.utils.clip_grad_norm_([p for part in parts for p in part if p.grad is not None], recipe.clip)
            scaler.step(optimiser)
            scaler.update()
            if (step + 1) % log_every == 0:
                scalars.add("loss/train", float(loss.detach()), step + 1)
                scalars.add("learning_rate", recipe.rate(step, 1), step + 1)
            if (step + 1) % recipe.every == 0 or step + 1 == recipe.iterations:
                loss_dev = _dev_loss(data, module, device)
                scalars.add("loss/dev", loss_dev, step + 1)
                at = _next_checkpoint(at, step + 1, loss_dev, recipe)
                at = replace(at, scale=dict(scaler.state_dict()), events=scalars.keep())
                best = module.state_dict() if at.best_step == at.step else None
                at = checkpoints.save(folder, at, checkpoints.tensors_of(module, optimiser), best)
            advance(1)
            if at.done:
                break
    return at


def parts_of(module: nn.Module) -> list[list[torch.nn.Parameter]]:
    """Return the parameters of the new layer, then of `GROUPS` parts of the network from the top down."""
    layers = [
        m for m in module.get_submodule("network").modules() if next(m.parameters(recurse=False), None) is not None
    ]
    cuts = [round(len(layers) * k / GROUPS) for k in range(GROUPS + 1)]
    found = [[p for m in layers[a:b] for p in m.parameters(recurse=False)] for a, b in itertools.pairwise(cuts)]
    return [list(module.get_submodule("output").parameters()), *reversed(found)]


def _with_head(network: nn.Module, data: FinetuneData, recipe: Recipe, seed: int) -> nn.Module:
    """Add a new last layer to the network; its first output is close to the mean label of train."""
    from photogenic.features.encoders.networks.layers import Headed

    whole = Headed(network, data.layer, data.dim)
    mean = float(np.clip(np.average(data.y, weights=data.weight), 1e-3, 1 - 1e-3))
    generator = torch.Generator().manual_seed(_seed_for(seed, 0, 0))
    with torch.no_grad():
        whole.output.weight.normal_(0, 0.01 if recipe.optimiser == "sgd" else 0.001, generator=generator)
        whole.output.bias.fill_(math.log(mean / (1 - mean)))
    return whole


def _optimiser(recipe: Recipe, parts: Sequence[Sequence[torch.nn.Parameter]]) -> torch.optim.Optimizer:
    """Make two parameter groups per part: matrices and kernels with weight decay, other parameters without."""
    groups: list[dict[str, Any]] = []
    for part, parameters in enumerate(parts):
        for decays in (True, False):
            some = [p for p in parameters if (p.ndim > 1) == decays]
            if some:
                decay = recipe.weight_decay if decays else 0.0
                groups.append({"params": some, "part": part, "weight_decay": decay})
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _dev_loss(data: FinetuneData, module: nn.Module, device: Device) -> float:
    """Return the loss of the target on dev."""
    pictures, y, weight = data.dev
    _set_mode(module, training=False, drawn=False)
    said = []
    with torch.inference_mode():
        for first in range(0, len(pictures), 64):
            with device.precision(training=True):
                z = module(_normalize(_to_device(np.array(pictures[first : first + 64]), device), data.backbone))
            said.append(torch.sigmoid(z.float()).cpu().numpy().astype(np.float64))
    error = mse if data.target.loss == "mse" else log_loss
    return error(y, np.concatenate(said), weight)


def _next_checkpoint(at: Checkpoint, step: int, loss: float, recipe: Recipe) -> Checkpoint:
    """Return the checkpoint after an evaluation; done after all iterations or when dev has stopped improving."""
    curve = [*at.curve, (step, loss)]
    best_step = min(curve, key=lambda point: point[1])[0]
    tired = recipe.patience > 0 and step - best_step >= recipe.patience * recipe.every
    done = step == recipe.iterations or (tired and step > recipe.iterations * recipe.unfreezing)
    return replace(at, step=step, curve=curve, best_step=best_step, done=done)


def _batches(
    data: FinetuneData, steps: Sequence[int], size: int, seed: int
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield (update, rows, their pictures); the next batch is read while the caller uses this one."""
    n = len(data.places)
    per_epoch = max(n // size, 1)  # pictures that do not fill a batch are left to other epochs
    orders: dict[int, NDArray[np.int64]] = {}

    def read(step: int) -> tuple[int, NDArray[np.int64], NDArray[np.uint8]]:
        epoch, place = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = np.random.default_rng((seed, 1, epoch)).permutation(n)
        rows = np.sort(orders[epoch][place * size : (place + 1) * size])
        return step, rows, data.pictures[data.places[rows]]

    with ThreadPoolExecutor(1, thread_name_prefix="pictures") as pool:
        coming = None
        for step in steps:
            now = coming or pool.submit(read, step)
            coming = pool.submit(read, step + 1)
            yield now.result()


def _to_device(raw: NDArray[np.uint8], device: Device) -> torch.Tensor:
    """Copy pictures to the device as bytes, then convert them: float32 (n, 3, s, s), 0..255."""
    return device.send(torch.from_numpy(np.ascontiguousarray(raw)).permute(0, 3, 1, 2)).float()


def _normalize(x: torch.Tensor, backbone: Backbone) -> torch.Tensor:

    mean, std = (torch.tensor(values, device=x.device).view(3, 1, 1) for values in (backbone.mean, backbone.std))
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def _set_mode(module: nn.Module, *, training: bool, drawn: bool) -> None:

    module.train(training)
    if training and not drawn:
        for child in module.modules():
            if isinstance(child, torch.nn.BatchNorm2d):
                child.eval()


@contextlib.contextmanager
def _seeded_dropout(number: int, device: Device) -> Iterator[None]:
    """Seed dropout from this number alone; the state of torch's own generator is restored afterwards."""
    with torch.random.fork_rng(devices=[torch.device(device.name)] if device.is_gpu else []):
        torch.manual_seed(number)
        yield


def _seed_for(seed: int, purpose: int, step: int) -> int:
    """Return a separate seed for each purpose and update."""
    return int(np.random.SeedSequence((seed, purpose, step)).generate_state(1, np.uint64)[0] >> np.uint64(1))
