"""Find encoders by name, and register the user's own.

encoder("dlib_face")                             a published encoder (published.py)
encoder("timm:resnet50.a1_in1k")                 a model of timm; its pooled features
encoder("openclip:ViT-B-32.openai")              a CLIP model, with a text tower (openclip_encoders.py)
encoder("alexnet@3f2a9c01d4e5", layout.models)   a network that `features finetune` trained in this store
register(Encoder(...))                           an encoder of the user's own
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from photogenic.features.encoders.base import Encoder
from photogenic.features.encoders.finetuned import finetuned_encoder, finetuned_encoders
from photogenic.features.encoders.openclip_encoders import OPENCLIP, openclip_encoder
from photogenic.features.encoders.published import PUBLISHED
from photogenic.features.encoders.timm_encoders import timm_encoder
from photogenic.warehouse import EncoderError
from photogenic.warehouse.user_modules import REGISTERING, how_to_register, import_user_modules, undo_with_project

__all__ = ["DEFAULT", "ENCODERS", "encoder", "encoders", "register", "uses_published_weights"]

DEFAULT = ("efficientnet_lite0", "dlib_face")
"""The default pair: the encoders whose weights are installed with the program."""

ENCODERS: dict[str, Encoder] = dict(PUBLISHED)
"""The published encoders and those that `register` added, by name."""


def encoder(name: str, models: Path | None = None) -> Encoder:
    """The encoder of that name.

    Args:
        name: `dlib_face`, `timm:MODEL`, `openclip:MODEL`, `BACKBONE@RUN_ID`, or the name of a registered encoder.
        models: Folder `models/` of the store, in which fine-tuned networks are looked up; None: there are none.

    Raises:
        EncoderError: There is no such encoder. The message suggests similar names.
        MissingPartError: The encoder needs the extra `text`, which is not installed.
    """
    # The user's modules are imported only if the program does not know the name itself: a wrong setting does not
    # prevent the use of published encoders.
    if name not in ENCODERS:
        import_user_modules(EncoderError)
    if name in ENCODERS:
        return ENCODERS[name]
    if name.startswith("timm:"):
        return timm_encoder(name)
    if name.startswith("openclip:"):
        return openclip_encoder(name)
    if "@" in name:
        return finetuned_encoder(name, models)
    near = difflib.get_close_matches(name, list(ENCODERS), n=3, cutoff=0.4)
    # A store with its vectors shows that the name is no mistake.
    is_own = models is not None and re.fullmatch(r"[\w.-]+", name) and (models.parent / "embeddings" / name).is_dir()
    raise EncoderError(
        f"No encoder is called {name!r}.",
        f"one of {', '.join(ENCODERS)}, timm:MODEL, openclip:MODEL, or one that {REGISTERING} registers",
        how_to_register(name) if is_own else f"--encoder {near[0]}" if near else "features encoders",
    )


def encoders(models: Path | None = None) -> list[Encoder]:
    """Published encoders, those that the user registered, CLIP models, and the fine-tuned networks of a store.

    Args:
        models: Folder `models/` of the store; None: without fine-tuned networks.
    """
    import_user_modules(EncoderError)
    return [*ENCODERS.values(), *OPENCLIP.values(), *(finetuned_encoders(models) if models is not None else ())]


def register(entry: Encoder) -> Encoder:
    """Add an encoder, so that it is found under its name.

    Raises:
        EncoderError: Another encoder has that name.
    """
    if entry.name not in ENCODERS:
        undo_with_project(lambda: ENCODERS.pop(entry.name, None))
    if ENCODERS.setdefault(entry.name, entry) != entry:
        raise EncoderError(f"There is an encoder {entry.name!r} already.", "a name of its own", "rename yours")
    return entry


def uses_published_weights(name: str, weights_sha256: str) -> bool:
    """Whether vectors were made with the published weights; True for encoders without published weights.

    Args:
        name: Name of the encoder.
        weights_sha256: SHA-256 of the weights that made the vectors.
    """
    entry = ENCODERS.get(name) or OPENCLIP.get(name)
    known = entry.backbone.weights if entry is not None else None
    return known is None or weights_sha256.startswith(known.sha256)
