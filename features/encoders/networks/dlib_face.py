"""dlib's face recognition network in torch: 29 convolutions, vectors of 128 numbers, weights from dlib's .dat file.

    x (n, 3, 150, 150), RGB, (x - mean) / 256
      stem 7x7/2, max pool 3/2          (n, 32, 35, 35)
      3 blocks of 32                    (n, 32, 35, 35)
      down to 64, 3 blocks              (n, 64, 17, 17)
      down to 128, 2 blocks             (n, 128, 8, 8)
      down to 256, 2 blocks             (n, 256, 4, 4)
      down to 256                       (n, 256, 2, 2)
      mean over the map, linear         (n, 128), not normalized

The per-channel affine layer after each convolution is fused into it while loading. `read_dat` describes the file
format. The file has no parameter names; parameters come in the order of the forward pass.

Source: King, "High quality face recognition with deep metric learning", dlib 2017 (public domain weights).
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, pad, relu_

__all__ = ["DlibFace", "read_dat"]

_STAGES = ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True), (256, 0, True))
"""Stages: (channels, number of plain blocks, whether a down block comes first)."""


class DlibFace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        blocks: list[_Block] = []
        channels = 32
        for out, n_plain, down in _STAGES:
            if down:
                blocks.append(_Block(channels, out, down=True))
            blocks += [_Block(out, out) for _ in range(n_plain)]
            channels = out
        self.blocks = nn.ModuleList(blocks)
        self.fc = nn.Linear(256, 128, bias=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = max_pool2d(relu_(self.stem(x)), 3, stride=2)
        for block in self.blocks:
            x = block(x)
        return {"embedding": self.fc(x.mean((2, 3)))}

    @classmethod
    def load(cls, path: Path | None) -> DlibFace:
        """The network with the weights of `dlib_face_recognition_resnet_model_v1.dat`."""
        assert path is not None
        net = cls()
        convolutions, matrix = read_dat(path)
        modules = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
        for module, (weight, bias) in zip(modules, convolutions, strict=True):
            module.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
        net.fc.load_state_dict({"weight": torch.from_numpy(matrix)})
        return net


class _Block(nn.Module):
    """Residual block. With `down` it halves the map, and its skip path is an average pool."""

    def __init__(self, n_in: int, n_out: int, *, down: bool = False) -> None:
        super().__init__()
        self.down = down
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=2 if down else 1, padding=0 if down else 1)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(relu_(self.conv1(x)))
        if not self.down:
            return relu_(y.add_(x))
        skip = avg_pool2d(x, 2)
        # dlib's addition zero-pads the smaller operand at the end of each dimension.
        shape = [max(a, b) for a, b in zip(y.shape[1:], skip.shape[1:], strict=True)]
        return relu_(_zero_pad(y, shape) + _zero_pad(skip, shape))


def _zero_pad(x: Tensor, shape: list[int]) -> Tensor:
    c, h, w = (want - have for want, have in zip(shape, x.shape[1:], strict=True))
    return pad(x, (0, w, 0, h, 0, c)) if c or h or w else x


def read_dat(path: Path) -> tuple[list[tuple[NDArray[np.float32], NDArray[np.float32]]], NDArray[np.float32]]:
    """The 29 fused (weight OIHW, bias) pairs and the (128, 256) matrix of a serialized dlib network.

    The file stores the innermost layer first, each layer as a name and its fields; see dlib's `dnn/layers.h`.

    Raises:
        ValueError: The file is not that network.
    """
    with path.open("rb") as file:
        reader = _Reader(file)
        if reader.integer() != 1 or reader.string() != "loss_metric_2":
            raise ValueError(f"{path} does not begin like a metric network of dlib")
        reader.floats(2)  # margin and threshold of the loss
        wrappers = _wrappers(reader)
        if reader.string() != "input_rgb_image_sized":
            raise ValueError(f"{path} has another input layer")
        reader.floats(3)  # the mean color
        reader.ints(2)
        pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        matrix: NDArray[np.float32] | None = None
        for version in reversed(wrappers):
            if version == 1:  # a tag or a skip layer, which has no content
                continue
            kind = reader.string()
            if kind == "con_4":
                pairs.append(_convolution(reader))
            elif kind == "affine_":
                pairs[-1] = _fuse_affine(*pairs[-1], _affine(reader))
            elif kind == "fc_2":
                matrix = _linear(reader)
            elif kind in ("max_pool_2", "avg_pool_2"):
                reader.ints(6)
            elif kind not in ("relu_", "add_prev_"):
                raise ValueError(f"{path} has a layer {kind!r}")
            reader.take(3)  # flags
            for _ in range(3):  # gradients and outputs, empty in a saved file
                reader.tensor()
            if version == 3:
                reader.integer()
        if file.read(1) or matrix is None or len(pairs) != 29:
            raise ValueError(f"{path} does not end where a face network of dlib ends")
    return pairs, matrix


def _wrappers(reader: _Reader) -> list[int]:
    """Version number of each layer, outermost first: 2 is a layer, 1 a tag or skip, 3 the innermost layer."""
    versions = [reader.integer()]
    while versions[-1] != 3:
        versions.append(reader.integer())
    return versions


def _convolution(reader: _Reader) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    params = reader.tensor().ravel()
    n, kh, kw, *_ = reader.ints(7)
    reader.shape()
    reader.shape()
    reader.floats(4)
    return params[:-n].reshape(n, -1, kh, kw), params[-n:]


def _affine(reader: _Reader) -> NDArray[np.float32]:
    params = reader.tensor().reshape(2, -1)
    reader.shape()
    reader.shape()
    reader.integer()
    return params


def _fuse_affine(
    weight: NDArray[np.float32], bias: NDArray[np.float32], affine: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    gamma, beta = affine
    return weight * gamma[:, None, None, None], gamma * bias + beta


def _linear(reader: _Reader) -> NDArray[np.float32]:
    reader.ints(2)
    params = reader.tensor()
    reader.shape()
    reader.shape()
    reader.integer()
    reader.floats(4)
    return np.ascontiguousarray(params.reshape(256, 128).T)


class _Reader:
    """Read dlib's primitives: integers with a control byte, floats as mantissa and exponent, raw tensors."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def take(self, n: int) -> bytes:
        data = self._file.read(n)
        if len(data) < n:
            raise ValueError(f"{self._file.name} ends too early")
        return data

    def integer(self) -> int:
        control = self.take(1)[0]
        magnitude = int.from_bytes(self.take(control & 0x0F), "little")
        return -magnitude if control & 0x80 else magnitude

    def ints(self, n: int) -> list[int]:
        return [self.integer() for _ in range(n)]

    def floats(self, n: int) -> list[float]:
        return [float(np.ldexp(float(self.integer()), self.integer())) for _ in range(n)]

    def string(self) -> str:
        return self.take(self.integer()).decode("ascii")

    def shape(self) -> list[int]:
        """The four dimensions of a view of a tensor."""
        self.integer()
        return self.ints(4)

    def tensor(self) -> NDArray[np.float32]:
        shape = self.shape()
        return np.frombuffer(self.take(4 * int(np.prod(shape))), dtype="<f4").reshape(shape).copy()
