"""Inception-ResNet v1 for the public weights of FaceNet: 512 numbers per face, a vector of length 1.

    x (n, 3, 160, 160), RGB, (x - 127.5) / 128
      stem                              (n, 256, 17, 17)
      repeat_1: 5 x Block35             (n, 256, 17, 17)
      mixed_6a                          (n, 896, 8, 8)
      repeat_2: 10 x Block17            (n, 896, 8, 8)
      mixed_7a                          (n, 1792, 3, 3)
      repeat_3: 5 x Block8, block8      (n, 1792, 3, 3)
      mean over the map, linear, norm   (n, 512)

Names and shapes of its state dict are those of the published file (MIT), `logits` included.

Source: Szegedy et al. 2016, "Inception-v4, Inception-ResNet"; Schroff et al. 2015, "FaceNet"; weights trained by
Sandberg on VGGFace2, ported by Esler (github.com/timesler/facenet-pytorch).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from photogenic.features.encoders.networks.fuse_batchnorm import fuse_batchnorm
from photogenic.features.encoders.networks.state_dict import read_state_dict

__all__ = ["FaceNet"]

_N_IDENTITIES = 8631
"""Identities of VGGFace2. The published file contains their classifier, which is not used."""

Size = int | tuple[int, int]


class FaceNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv2d_1a = _Conv(3, 32, 3, stride=2)
        self.conv2d_2a = _Conv(32, 32, 3)
        self.conv2d_2b = _Conv(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = _Conv(64, 80, 1)
        self.conv2d_4a = _Conv(80, 192, 3)
        self.conv2d_4b = _Conv(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_Residual(256, 0.17, _block35()) for _ in range(5)))
        self.mixed_6a = _Mixed(
            _Conv(256, 384, 3, stride=2),
            nn.Sequential(_Conv(256, 192, 1), _Conv(192, 192, 3, padding=1), _Conv(192, 256, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        )
        self.repeat_2 = nn.Sequential(*(_Residual(896, 0.10, _block17()) for _ in range(10)))
        self.mixed_7a = _Mixed(
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 384, 3, stride=2)),
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 256, 3, stride=2)),
            nn.Sequential(_Conv(896, 256, 1), _Conv(256, 256, 3, padding=1), _Conv(256, 256, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        )
        self.repeat_3 = nn.Sequential(*(_Residual(1792, 0.20, _block8()) for _ in range(5)))
        self.block8 = _Residual(1792, 1.0, _block8(), last=True)
        self.last_linear = nn.Linear(1792, 512, bias=False)
        self.last_bn = nn.BatchNorm1d(512, eps=1e-3)
        self.logits = nn.Linear(512, _N_IDENTITIES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        x = self.last_bn(self.last_linear(x.mean((2, 3))))
        return {"embedding": normalize(x)}

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        assert path is not None
        net = cls()
        net.load_state_dict(read_state_dict(path))
        del net.logits
        return fuse_batchnorm(net)


class _Conv(nn.Module):
    """Convolution, batch normalization, relu."""

    def __init__(self, n_in: int, n_out: int, kernel: Size, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(n_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Parallel branches whose channels are concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self._names = [f"branch{i}" for i in range(len(branches))]
        for name, branch in zip(self._names, branches, strict=True):
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(name)(x) for name in self._names], 1)


class _Residual(_Mixed):
    """Parallel branches, concatenated, projected to the width of the input, scaled and added to it."""

    def __init__(self, width: int, scale: float, branches: tuple[int, list[nn.Module]], *, last: bool = False) -> None:
        joined, modules = branches
        super().__init__(*modules)
        self.conv2d = nn.Conv2d(joined, width, 1)
        self.scale, self.last = scale, last

    def forward(self, x: Tensor) -> Tensor:
        y = x.add(self.conv2d(super().forward(x)), alpha=self.scale)
        return y if self.last else relu(y)


def _block35() -> tuple[int, list[nn.Module]]:
    return 96, [
        _Conv(256, 32, 1),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padding=1)),
        nn.Sequential(_Conv(256, 32, 1), _Conv(32, 32, 3, padding=1), _Conv(32, 32, 3, padding=1)),
    ]


def _block17() -> tuple[int, list[nn.Module]]:
    long = [_Conv(896, 128, 1), _Conv(128, 128, (1, 7), padding=(0, 3)), _Conv(128, 128, (7, 1), padding=(3, 0))]
    return 256, [_Conv(896, 128, 1), nn.Sequential(*long)]


def _block8() -> tuple[int, list[nn.Module]]:
    long = [_Conv(1792, 192, 1), _Conv(192, 192, (1, 3), padding=(0, 1)), _Conv(192, 192, (3, 1), padding=(1, 0))]
    return 384, [_Conv(1792, 192, 1), nn.Sequential(*long)]
