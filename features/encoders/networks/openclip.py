"""Towers of CLIP models, built by open_clip and filled from one weights file. Nothing is downloaded.

open_clip's own loaders fetch weights, configurations and tokenizers from a hub. They are not used: the modules are
built from a checked configuration (openclip_encoders.py), and the tensors come from the file.

A file is compared with the names and shapes of the whole model before memory for it is taken, and each tower reads its
own tensors only.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from photogenic._lazy import open_clip, safetensors, timm
from photogenic.features.encoders.networks.state_dict import read_state_dict
from photogenic.warehouse.storage.checksum import digest

__all__ = ["ImageTower", "TextTower", "load_image_tower", "load_text_tower"]

_NOT_TENSORS_OF_A_TOWER = {"attn_mask", "context_length", "input_resolution", "logit_bias", "logit_scale", "vocab_size"}
"""Names that files may have or lack: settings, and the scale of the training loss."""


class ImageTower(nn.Module):
    """Pictures to unit vectors: float32 (n, 3, size, size) to `image`, (n, dim)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"image": functional.normalize(self.network(x).float(), dim=-1)}


class TextTower(nn.Module):
    """Texts to unit vectors: int64 (n, length) to float32 (n, dim)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return functional.normalize(self.model.encode_text(ids).float(), dim=-1)


def load_image_tower(config: str, sha256: str, path: Path | None) -> nn.Module:
    """The image tower of a model.

    Args:
        config: Checked configuration of the model, JSON.
        sha256: SHA-256 of the published file, hex, or its beginning; only that file may be a TorchScript archive.
        path: The weights file.

    Raises:
        ValueError: The file does not hold the tensors of the model.
    """
    model = _filled(config, sha256, path, lambda name: name.startswith("visual."))
    return ImageTower(model.visual)


def load_text_tower(config: str, sha256: str, path: Path | None) -> nn.Module:
    """The text tower of a model; the arguments are those of `load_image_tower`."""
    model = _filled(config, sha256, path, lambda name: not name.startswith("visual."))
    del model.visual
    model.logit_scale = model.logit_bias = None
    return TextTower(model)


def _filled(config: str, sha256: str, path: Path | None, wanted: Callable[[str], bool]) -> Any:
    """The model with the wanted tensors of the file; the other tensors stay without memory."""
    assert path is not None
    with torch.device("meta"):
        model = _model(config)
    shapes, read = _open(path, sha256)
    _compare({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}, shapes)
    names = [name for name in shapes if wanted(name) and name not in _NOT_TENSORS_OF_A_TOWER]
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in read(names).items()}
    kept = {name for name, _ in model.named_buffers()} - set(model.state_dict())
    if any(wanted(name) and name.rpartition(".")[2] != "attn_mask" for name in kept):
        # Some image towers of timm compute tables that no file has.
        model = _model(config)
        model.load_state_dict(state, strict=False)
        return model
    model.load_state_dict(state, strict=False, assign=True)
    text = getattr(model, "text", model)
    if getattr(text, "attn_mask", None) is not None:
        text.attn_mask = torch.full(text.attn_mask.shape, float("-inf")).triu_(1)
    return model


def _model(config: str) -> Any:
    """The model of a configuration, with random weights."""
    settings: dict[str, Any] = json.loads(config)
    network = settings["vision_cfg"].get("timm_model_name")
    if network is not None:
        if not timm.is_model(network):
            raise ValueError(f"timm has no network {network!r}")
        settings["vision_cfg"]["timm_model_pretrained"] = False
    kind = open_clip.model.CustomTextCLIP if settings.pop("custom_text", False) else open_clip.model.CLIP
    try:
        return kind(**settings).eval()
    except (ArithmeticError, AssertionError, AttributeError) as error:
        raise ValueError(f"the configuration of the model cannot be built: {error}") from error


def _compare(ours: Mapping[str, tuple[int, ...]], theirs: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless names and shapes are the same."""
    missing = sorted(ours.keys() - theirs.keys() - _NOT_TENSORS_OF_A_TOWER)
    unknown = sorted(theirs.keys() - ours.keys() - _NOT_TENSORS_OF_A_TOWER)
    other = sorted(
        name for name in (ours.keys() & theirs.keys()) - _NOT_TENSORS_OF_A_TOWER if ours[name] != theirs[name]
    )
    if other:
        name = other[0]
        raise ValueError(f"{name} has shape {theirs[name]} where the model has {ours[name]}")
    if missing or unknown:
        parts = [("lacks", missing), ("has the unknown", unknown)]
        raise ValueError(
            "it "
            + " and ".join(
                f"{what} {names[0]!r}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
                for what, names in parts
                if names
            )
        )


def _open(path: Path, sha256: str) -> tuple[dict[str, tuple[int, ...]], Callable[[list[str]], dict[str, Tensor]]]:
    """The shapes of the tensors in a file by name, and a function that reads tensors."""
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":
        return _open_safetensors(path)
    state: dict[str, Any] = {**(_torchscript(path, sha256) if _is_torchscript(path) else read_state_dict(path))}
    inner = state.get("state_dict")
    if isinstance(inner, dict):  # a checkpoint of a training
        state = inner
    state = {name.removeprefix("module."): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    return (
        {name: tuple(tensor.shape) for name, tensor in state.items()},
        lambda names: {name: state[name] for name in names},
    )


def _open_safetensors(
    path: Path,
) -> tuple[dict[str, tuple[int, ...]], Callable[[list[str]], dict[str, Tensor]]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"it is no whole safetensors file: {error}") from error

    def read(names: list[str]) -> dict[str, Tensor]:
        with safetensors.safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}

    return shapes, read


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _torchscript(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a TorchScript archive, as which OpenAI published its weights.

    An archive holds code, so only the published file is opened.
    """
    if len(sha256) != 64 or digest(path) != sha256:
        raise ValueError("it is a TorchScript archive, which holds code; save its state dict as safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        found: dict[str, Tensor] = torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return found
