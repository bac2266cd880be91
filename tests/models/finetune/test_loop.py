"""A small network learns a planted rule; a killed training gives the same result as an uninterrupted one."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from photogenic.features.encoders.base import Backbone
from photogenic.features.encoders.device import CPU, choose
from photogenic.models.data.targets import TARGETS
from photogenic.models.finetune import checkpoints
from photogenic.models.finetune.augment import augmented
from photogenic.models.finetune.loop import FinetuneData, _seed_for, parts_of, train_loop
from photogenic.models.finetune.recipes import recipe_of
from photogenic.models.options import FinetuneOptions
from photogenic.models.runs.tensorboard import FILE
from photogenic.warehouse import StoreError, no_progress

pytestmark = pytest.mark.slow

BACKBONE = Backbone("small", "photo", 8, "centre", (127.0,) * 3, (64.0,) * 3, lambda _: nn.Identity())
QUICK = replace(
    recipe_of(FinetuneOptions(recipe="modern", iterations=60, batch_size=16, learning_rate=3e-3)),
    evaluations=12,
    patience=0,
)


class Small(nn.Module):
    """A network of four layers with parameters, dropout and batch normalization."""

    def __init__(self):
        super().__init__()
        self.a, self.bn, self.b = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)
        self.drop, self.c = nn.Dropout(0.2), nn.Linear(4, 6)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.bn(self.a(x))))).mean((2, 3))
        return {"top": torch.relu(self.c(self.drop(x)))}


def small():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small()


@pytest.fixture(scope="module")
def data():
    """Data in which brighter pictures are liked more; weights differ; the last picture is not in train."""
    rng = np.random.default_rng(0)
    level = rng.uniform(40, 215, 120)
    pictures = np.clip(level[:, None, None, None] + rng.normal(0, 20, (120, 10, 10, 3)), 0, 255).astype(np.uint8)
    y = (1 / (1 + np.exp(-(level - 127) / 25))).astype(np.float32)
    weight = rng.integers(1, 30, 120).astype(np.float32)
    return FinetuneData(
        TARGETS["like_ratio"],
        pictures[:81],
        np.arange(80),
        y[:80],
        weight[:80],
        (np.ascontiguousarray(pictures[81:, 1:9, 1:9]), y[81:], weight[81:]),
        BACKBONE,
        "top",
        6,
        drawn=True,
    )


def run(data, folder, plan=QUICK, seed=0, progress=no_progress):
    end = train_loop(data, small(), plan, folder / "checkpoint", seed=seed, device=CPU, progress=progress)
    return end, checkpoints.read_tensors(folder / "checkpoint" / end.best)


class Killer:
    """Progress callback that interrupts after a number of updates."""

    def __init__(self, after):
        self.left = after

    @contextlib.contextmanager
    def stage(self, name, total=None, unit="", *, at_most=False):
        yield self.advance

    def note(self, text):
        pass

    def advance(self, n):
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt


def test_the_loop_learns_the_rule(data, tmp_path):
    end, _ = run(data, tmp_path, replace(QUICK, iterations=300))
    constant = np.average(data.y, weights=data.weight)
    _, y, weight = data.dev
    assert min(loss for _, loss in end.curve) < 0.2 * np.average((y - constant) ** 2, weights=weight)
    assert end.best_step == min(end.curve, key=lambda point: point[1])[0]


@pytest.mark.parametrize(
    "plan",
    [QUICK, replace(recipe_of(FinetuneOptions(recipe="published", iterations=60, batch_size=16)), evaluations=12)],
)
@pytest.mark.parametrize("after", [3, 27, 41])
def test_a_killed_and_continued_training_equals_an_uninterrupted_one(data, tmp_path, plan, after):
    end, best = run(data, tmp_path / "whole", plan)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "killed", plan, progress=Killer(after))
    torch.rand(7)  # other random draws of the process have no effect
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "killed", plan, progress=Killer(50))
    again, same = run(data, tmp_path / "killed", plan)
    assert again.curve == end.curve
    assert again.files == end.files
    assert best.keys() == same.keys()
    assert all(torch.equal(best[name], same[name]) for name in best)
    sizes = {(tmp_path / kind / "tensorboard" / FILE).stat().st_size for kind in ("whole", "killed")}
    assert len(sizes) == 1


def test_another_seed_gives_another_result(data, tmp_path):
    assert run(data, tmp_path / "a")[0].curve != run(data, tmp_path / "b", seed=1)[0].curve


def test_published_updates_equal_those_of_a_plain_loop(data, tmp_path):
    plan = replace(
        recipe_of(FinetuneOptions(recipe="published", iterations=2, batch_size=80)), evaluations=2, light=0.0
    )
    plain = replace(data, drawn=False)
    train_loop(plain, small(), plan, tmp_path / "checkpoint", seed=3, device=CPU, progress=no_progress)
    state = checkpoints.read_tensors(tmp_path / "checkpoint" / "state-2.safetensors")
    net, head = small(), nn.Linear(6, 1)
    mean = np.average(data.y, weights=data.weight)
    head.weight.data.normal_(0, 0.01, generator=torch.Generator().manual_seed(_seed_for(3, 0, 0)))
    head.bias.data.fill_(math.log(mean / (1 - mean)))
    velocity = {}
    for step, rate in enumerate((1e-3, 1e-6)):  # with two iterations, the second is in the fourth seventh
        drawn = torch.Generator().manual_seed(_seed_for(3, 2, step))
        x = torch.from_numpy(data.pictures[:80]).permute(0, 3, 1, 2).float()
        x = (augmented(x, 8, drawn, least_crop=None, light=0) - 127) / 64
        net.train()
        net.bn.eval()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed_for(3, 3, step))
            z = head(net(x)["top"])[:, 0]
        y, w = torch.from_numpy(data.y), torch.from_numpy(data.weight / data.weight.mean())
        loss = -(w * (y * torch.sigmoid(z).log() + (1 - y) * torch.sigmoid(-z).log())).mean()
        parameters = [*net.parameters(), *head.parameters()]
        for at, (p, g) in enumerate(zip(parameters, torch.autograd.grad(loss, parameters), strict=True)):
            decayed = g + (5e-4 * p.detach() if p.ndim > 1 else 0)
            velocity[at] = 0.9 * velocity[at] + decayed if at in velocity else decayed
            factor = 10 if at >= len(parameters) - 2 else 1
            p.data -= rate * factor * velocity[at]
    for name, parameter in net.named_parameters():
        assert torch.allclose(state[f"module.network.{name}"], parameter, atol=1e-6), name
    assert torch.allclose(state["module.output.weight"], head.weight, atol=1e-6)


def test_the_network_is_unfrozen_from_the_top(data, tmp_path):
    start, plan = small(), replace(QUICK, iterations=60, unfreezing=1.0, evaluations=60)
    parts = parts_of(nn.ModuleDict({"network": start, "output": nn.Linear(6, 1)}))
    assert [len(part) for part in parts] == [2, 2, 2, 2, 2]
    assert parts[1][0] is start.c.weight
    assert parts[4][0] is start.a.weight
    moved = {}
    for after in (14, 29, 59):
        with contextlib.suppress(KeyboardInterrupt):
            run(data, tmp_path / str(after), plan, progress=Killer(after - 1))
        held = checkpoints.load(tmp_path / str(after) / "checkpoint")
        state = checkpoints.read_tensors(tmp_path / str(after) / "checkpoint" / held.state)
        same = start.state_dict()
        moved[after] = [
            n for n in ("a", "b", "c") if not torch.equal(state[f"module.network.{n}.weight"], same[f"{n}.weight"])
        ]
    assert moved == {14: [], 29: ["c"], 59: ["b", "c"]}


def test_published_weights_keep_their_statistics(data, tmp_path):
    for drawn in (False, True):
        _, best = run(replace(data, drawn=drawn), tmp_path / str(drawn))
        assert torch.equal(best["network.bn.running_mean"], torch.zeros(4)) is not drawn


def test_training_ends_when_dev_no_longer_improves(data, tmp_path):
    shuffled = replace(data, y=np.random.default_rng(1).permutation(data.y))
    plan = replace(QUICK, iterations=600, evaluations=60, patience=3)
    end, _ = run(shuffled, tmp_path, plan)
    assert end.done
    assert end.step < 600
    assert end.step - end.best_step >= 30


def test_a_damaged_checkpoint_is_refused(data, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path, progress=Killer(27))
    (state,) = (tmp_path / "checkpoint").glob("state-*.safetensors")
    state.write_bytes(state.read_bytes()[:-1] + b"\x55")
    with pytest.raises(StoreError, match=r"SHA-256[\s\S]*training then starts again"):
        run(data, tmp_path)


def test_files_of_a_killed_save_are_removed(data, tmp_path):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "state-9999.safetensors").write_bytes(b"half")
    end, _ = run(data, tmp_path)
    names = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert names == {end.state, end.best, "checkpoint.json"}
    readable = [(tmp_path / "checkpoint" / name).stat().st_mode & 0o444 for name in names]
    assert len(set(readable)) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_learns_the_rule_in_half_precision_and_continues_after_a_kill(data, tmp_path):
    plan, gpu = replace(QUICK, iterations=300), choose("cuda")
    with pytest.raises(KeyboardInterrupt):
        train_loop(data, small(), plan, tmp_path / "checkpoint", seed=0, device=gpu, progress=Killer(150))
    end = train_loop(data, small(), plan, tmp_path / "checkpoint", seed=0, device=gpu, progress=no_progress)
    on_cpu, _ = run(data, tmp_path / "cpu", plan)
    assert end.step == 300
    assert min(loss for _, loss in end.curve) < 1.5 * min(loss for _, loss in on_cpu.curve)
