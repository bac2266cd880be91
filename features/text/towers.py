"""Texts as vectors in the space of an encoder's photos.

    text_encoder(layout)                                  the encoder that texts are compared with by default
    text_vector(layout, "openclip:ViT-B-32.openai", Text("sunglasses on a beach"))     float32 (dim,)

Loaded towers stay in memory, the two that were used last, and all threads share them. A text is computed alone, never
in a batch, so the same words give the same bits each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from photogenic._lazy import torch
from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.device import Device, choose
from photogenic.features.encoders.openclip_encoders import OPENCLIP
from photogenic.features.encoders.registry import encoder
from photogenic.features.search import index as indices
from photogenic.features.text.texts import Text
from photogenic.warehouse import EncoderError, InputError, MissingPartError, StoreError
from photogenic.warehouse.storage.layout import Layout

__all__ = ["Tower", "has_text_tower", "text_encoder", "text_encoders", "text_vector"]

_MOST_LOADED = 2
_loaded: OrderedDict[tuple[str, str], Tower] = OrderedDict()
_lock = threading.Lock()


def text_encoders(layout: Layout) -> list[str]:
    """Names of the encoders of a store that have an index and a text tower."""
    return [known.encoder for known in indices.manifests(layout) if has_text_tower(layout, known.encoder)]


def has_text_tower(layout: Layout, name: str) -> bool:
    """Whether texts can be compared with the vectors of an encoder; False for one that is unknown here."""
    try:
        return encoder(name, layout.models).text is not None
    except (EncoderError, MissingPartError):
        return False


def text_encoder(layout: Layout, name: str | None = None) -> str:
    """The encoder that texts are compared with.

    Args:
        layout: Paths of the store.
        name: An encoder; None: the first with a text tower and an index.

    Raises:
        EncoderError: The encoder has no text tower.
        MissingPartError: It needs the extra `text`, which is not installed.
        StoreError: No encoder of the store has a text tower and an index.
    """
    if name is not None:
        if encoder(name, layout.models).text is None:
            raise _without_text(layout, name)
        return name
    found = text_encoders(layout)
    if not found:
        made = [known.encoder for known in indices.manifests(layout)]
        raise StoreError(
            "No encoder of this store can be searched with words"
            + (f": none of {', '.join(made)} has a text tower." if made else ": it has no search index."),
            f"an encoder with a text tower, such as {next(iter(OPENCLIP))}",
            f"features build --encoder {next(iter(OPENCLIP))}",
        )
    return found[0]


def text_vector(
    layout: Layout, name: str, text: Text, *, device: str | None = None, note: Callable[[str], None] = lambda _: None
) -> NDArray[np.float32]:
    """The vector of a text, float32 (dim,), of length 1 for the encoders of this program.

    Args:
        layout: Paths of the store.
        name: An encoder with a text tower and an index.
        text: The text.
        device: Device for the network: cpu, cuda, cuda:1. None: the first GPU, else the CPU.
        note: Called with a sentence if the end of the text was left out.

    Raises:
        EncoderError: The encoder has no text tower.
        InputError: The text has no word.
        MissingPartError: The encoder needs the extra `text`, which is not installed.
        StoreError: The index was made with other weights, or there is none.
        WeightsError: The weights are not on this machine, or they are damaged.
    """
    manifest = indices.manifest(layout, name)
    entry = encoder(name, layout.models)
    if entry.text is None:
        raise _without_text(layout, name)
    now = entry.backbone.weights_sha256()
    if now != manifest.weights_sha256:
        raise StoreError(
            f"The index of {name} was made with weights {manifest.weights_sha256[:12]}.",
            f"{now[:12]}, those of this machine",
            f"features build --encoder {name}",
        )
    tokens = entry.text.tokens(text.value)
    if tokens.n_left_out:
        note(f"The text is longer than {name} reads: its last {tokens.n_left_out} tokens were left out.")
    vector = _tower(entry, choose(device))(tokens.ids)
    if vector.shape != (manifest.dim,):
        raise StoreError(
            f"The text tower of {name} returns vectors of shape {vector.shape}.",
            f"({manifest.dim},), as in its index",
            f"features build --encoder {name}",
        )
    if not np.isfinite(vector).all():
        raise InputError(
            f"The text tower of {name} returns numbers that are not finite.", "finite numbers", "another encoder"
        )
    return vector


def _without_text(layout: Layout, name: str) -> EncoderError:
    others = text_encoders(layout)
    return EncoderError(
        f"{name} has no text tower, so words cannot be compared with its vectors.",
        f"one of {', '.join(others or OPENCLIP)}",
        f"--encoder {others[0]}" if others else f"features build --encoder {next(iter(OPENCLIP))}",
    )


class Tower:
    """One text tower with its weights, on a device. It is thread-safe.

    Args:
        entry: An encoder with a text tower.
        device: Where the network runs.
    """

    def __init__(self, entry: Encoder, device: Device) -> None:
        self._device = device
        self._module = entry.text_module().eval().requires_grad_(False).to(device.name)
        # As for images (batch_embedder.py): on a GPU all calls come from one thread.
        self._gpu_thread = ThreadPoolExecutor(1, thread_name_prefix="gpu-text") if device.is_gpu else None

    def __call__(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        if self._gpu_thread is None:
            return self._vector(ids)
        return self._gpu_thread.submit(self._vector, ids).result()

    def _vector(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode(), self._device.precision():
            found: NDArray[np.float32] = (
                self._module(torch.from_numpy(ids)[None].to(self._device.name)).float().cpu().numpy()[0]
            )
        return found


def _tower(entry: Encoder, device: Device) -> Tower:
    key = (entry.digest(), device.name)
    with _lock:
        found = _loaded.pop(key, None) or Tower(entry, device)
        _loaded[key] = found
        while len(_loaded) > _MOST_LOADED:
            _loaded.popitem(last=False)
    return found
