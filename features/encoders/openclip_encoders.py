"""CLIP models as encoders with a text tower: `openclip:MODEL.TAG` (extra `text`).

    openclip:ViT-B-32.openai                    published weights: architecture and tag as open_clip calls them
    openclip:ViT-B-32, openclip:ViT-B-32.mine   an architecture of open_clip with weights of the user's own
    openclip:NAME                               a configuration of the user's own beside the weights

The user's own files are `openclip--NAME.safetensors` and, for another architecture or another normalization,
`openclip--NAME.json`: the `open_clip_config.json` that open_clip writes beside its weights. They lie in
`$FEATURES_WEIGHTS` or in the cache of weights. The manifest of the vectors records the SHA-256 of the weights.

Looking up an encoder does not import open_clip.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from photogenic._lazy import nn
from photogenic.features.encoders import weights
from photogenic.features.encoders.base import Backbone, Color, Encoder, TextTower
from photogenic.features.encoders.weight_files import WEIGHTS, Weights
from photogenic.features.text.clip_tokens import VOCABULARY, clip_tokens
from photogenic.warehouse import EncoderError, MissingPartError
from photogenic.warehouse.storage.manifest import read_limited

__all__ = ["OPENCLIP", "openclip_encoder"]

_NAME = re.compile(r"openclip:(([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_-]+))?)")
_MEAN: Color = (0.48145466, 0.4578275, 0.40821073)
_STD: Color = (0.26862954, 0.26130258, 0.27577711)
_SIDES = (16, 2_048)
_MOST_LAYERS = 200
_CLEAN = ("lower", "whitespace", "canonicalize")


@dataclass(frozen=True, slots=True)
class _Model:
    """A checked configuration: what `open_clip.model.CLIP` is built from, and the picture that it takes."""

    config: str
    dim: int
    size: int
    length: int
    clean: str = "lower"
    mean: Color = _MEAN
    std: Color = _STD
    crop: Literal["centre", "squashed"] = "centre"
    version: int = 1


def openclip_encoder(name: str) -> Encoder:
    """The encoder of that name.

    Raises:
        EncoderError: There is no such model, or its configuration cannot be used.
        MissingPartError: The extra `text` is not installed.
    """
    if name in OPENCLIP:
        return OPENCLIP[name]
    found = _NAME.fullmatch(name)
    if found is None:
        raise EncoderError(
            f"{name!r} is no name of a CLIP model.", "openclip:MODEL or openclip:MODEL.TAG", _known(name)
        )
    own = _own_file(f"openclip--{found[1]}.json")
    model = _own_model(own) if own is not None else _architecture(name, found[2])
    file = Weights(name, f"openclip--{found[1]}.safetensors", "", "that of your weights", by_name_only=True)
    source = f"open_clip {found[2]}, weights of your own"
    return _encoder(name, model, file, "that of your weights", source)


def _encoder(name: str, model: _Model, file: Weights, licence: str, source: str) -> Encoder:
    backbone = Backbone(
        name,
        input="photo",
        size=model.size,
        crop=model.crop,
        mean=_in_bytes(model.mean),
        std=_in_bytes(model.std),
        build=functools.partial(_image_tower, model.config, file.sha256),
        weights=file,
        version=model.version,
    )
    text = TextTower(
        functools.partial(_text_tower, model.config, file.sha256),
        functools.partial(clip_tokens, model.length, model.clean),
    )
    return Encoder(name, backbone, "image", model.dim, "cosine", licence, source, text)


def _in_bytes(color: Color) -> Color:
    red, green, blue = color
    return 255 * red, 255 * green, 255 * blue


def _image_tower(config: str, sha256: str, path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.openclip import load_image_tower

    _require_open_clip()
    return load_image_tower(config, sha256, path)


def _text_tower(config: str, sha256: str, path: Path | None) -> nn.Module:
    from photogenic.features.encoders.networks.openclip import load_text_tower

    _require_open_clip()
    return load_text_tower(config, sha256, path)


def _require_open_clip() -> Path:
    """Folder of the installed package.

    Raises:
        MissingPartError: It is not installed.
    """
    spec = importlib.util.find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise MissingPartError(
            "Encoders openclip:NAME need the package open-clip-torch, which is not installed.",
            "the extra text",
            "pip install 'photogenic[text]'",
        )
    return Path(spec.origin).parent


def _own_file(name: str) -> Path | None:
    """Path of a file of the user's own beside weights; None if there is none."""
    folder = os.environ.get("FEATURES_WEIGHTS")
    places = [Path(folder)] if folder else []
    return next((path for path in (place / name for place in (*places, weights.cache())) if path.is_file()), None)


def _architecture(name: str, model: str) -> _Model:
    """The configuration that open_clip ships for an architecture."""
    folder = _require_open_clip() / "model_configs"
    try:
        data = read_limited(folder / f"{model}.json")
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"open_clip has no architecture {model!r}, and there is no openclip--{name.partition(':')[2]}.json.",
            "a name of open_clip.list_models(), or a configuration of your own beside the weights",
            _known(name),
        ) from error
    settings = _parsed(data, f"the configuration of {model}")
    if "timm_model_name" in settings["vision_cfg"]:
        raise EncoderError(
            f"open_clip does not state how pictures are normalized for the architecture {model!r}.",
            f"the open_clip_config.json of the weights, as openclip--{name.partition(':')[2]}.json in "
            f"{os.environ.get('FEATURES_WEIGHTS') or weights.cache()}",
            _known(name),
        )
    return _checked(settings, {}, f"the configuration of {model}")


def _own_model(path: Path) -> _Model:
    """The configuration of the user's own; its digest is part of the version, since it decides the vectors too."""
    try:
        data = read_limited(path)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path} cannot be used: {error}", "an open_clip_config.json") from error
    settings = _parsed(data, str(path))
    inner = settings.get("model_cfg", settings)
    picture = settings.get("preprocess_cfg", {})
    if not isinstance(inner, dict) or not isinstance(picture, dict):
        raise _unusable(str(path), "model_cfg and preprocess_cfg are no objects")
    return _checked(inner, picture, str(path), version=int(hashlib.sha256(data).hexdigest()[:12], 16))


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        settings = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unusable(where, str(error)) from error
    inner = settings.get("model_cfg", settings) if isinstance(settings, dict) else None
    if not isinstance(inner, dict) or not all(isinstance(inner.get(key), dict) for key in ("vision_cfg", "text_cfg")):
        raise _unusable(where, "it has no vision_cfg and text_cfg")
    return settings  # type: ignore[no-any-return]


def _checked(settings: dict[str, Any], picture: dict[str, Any], where: str, version: int = 1) -> _Model:
    """Check what decides names, sizes and sources; open_clip checks the rest when it builds the model.

    Raises:
        EncoderError: A part of the model would come from a hub, or a size is out of range.
    """
    vision, text = settings["vision_cfg"], settings["text_cfg"]
    from_hub = sorted(key for part in (settings, vision, text) for key in part if str(key).startswith("hf_"))
    if from_hub:
        raise _unusable(where, f"{from_hub[0]} names a part that a hub holds; only open_clip's own are used")
    if "multimodal_cfg" in settings:
        raise _unusable(where, "models with a decoder (multimodal_cfg) are not supported")
    network = vision.get("timm_model_name")
    if network is not None and not (isinstance(network, str) and re.fullmatch(r"[\w.]+", network)):
        raise _unusable(where, "timm_model_name is no name of timm")
    size = vision.get("image_size", 224)
    sides = size if isinstance(size, list) else [size]
    if len(set(map(str, sides))) != 1 or not _is_count(sides[0], *_SIDES):
        raise _unusable(where, f"image_size is {str(size)[:40]}, not one side of {_SIDES[0]} to {_SIDES[1]} pixels")
    dim, length = settings.get("embed_dim"), text.get("context_length", 77)
    for name, value, least, most in (
        ("embed_dim", dim, 1, 65_536),
        ("context_length", length, 3, 1_024),
        ("vocab_size", text.get("vocab_size", VOCABULARY), VOCABULARY, VOCABULARY),
        ("text_cfg.layers", text.get("layers", 12), 1, _MOST_LAYERS),
    ):
        if not _is_count(value, least, most):
            expected = str(least) if least == most else f"{least} to {most}"
            raise _unusable(where, f"{name} is {str(value)[:40]}, not {expected}")
    layers = vision.get("layers", 12)
    if not all(_is_count(one, 1, _MOST_LAYERS) for one in (layers if isinstance(layers, list) else [layers])):
        raise _unusable(where, f"vision_cfg.layers is {str(layers)[:40]}, not 1 to {_MOST_LAYERS}")
    options = text.get("tokenizer_kwargs", {})
    clean = options.get("clean", "lower") if isinstance(options, dict) else None
    if clean not in _CLEAN or set(options) - {"clean"}:
        raise _unusable(where, f"tokenizer_kwargs has another setting than clean, one of {', '.join(_CLEAN)}")
    mode = picture.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash"):
        raise _unusable(where, f"resize_mode is {str(mode)[:40]!r}, not shortest or squash")
    return _Model(
        json.dumps(settings, sort_keys=True),
        dim,  # type: ignore[arg-type]
        sides[0],
        length,
        clean,
        _color(picture.get("mean", list(_MEAN)), "mean", where),
        _color(picture.get("std", list(_STD)), "std", where),
        "squashed" if mode == "squash" else "centre",
        version,
    )


def _is_count(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _color(value: object, name: str, where: str) -> Color:
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(one, int | float) and 0 <= one <= 1 for one in value)
        or (name == "std" and not all(value))
    ):
        raise _unusable(where, f"{name} is no list of three numbers from 0 to 1")
    red, green, blue = map(float, value)
    return red, green, blue


def _unusable(where: str, why: str) -> EncoderError:
    return EncoderError(f"{where} cannot be used: {why}.", "a CLIP model of open_clip with its own tokenizer")


def _known(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, OPENCLIP, n=1, cutoff=0.5)
    return f"--encoder {(near or [*OPENCLIP])[0]}"


def _config(dim: int, size: int, patch: int, vision: tuple[int, int], text: int, *, quick_gelu: bool) -> str:
    """The configuration of a plain CLIP model; a test compares it with the one that open_clip ships."""
    layers, width = vision
    return json.dumps(
        {
            "embed_dim": dim,
            "quick_gelu": quick_gelu,
            "vision_cfg": {"image_size": size, "layers": layers, "width": width, "patch_size": patch},
            "text_cfg": {
                "context_length": 77,
                "vocab_size": VOCABULARY,
                "width": text,
                "heads": text // 64,
                "layers": 12,
            },
        }
    )


def _published() -> dict[str, Encoder]:
    architectures = {
        "ViT-B-32": (512, 224, 32, (12, 768), 512),
        "ViT-B-16": (512, 224, 16, (12, 768), 512),
        "ViT-L-14": (768, 224, 14, (24, 1024), 768),
    }
    found = {}
    for model, tag, source, laion in (
        ("ViT-B-32", "openai", "Radford et al. 2021; OpenAI", None),
        ("ViT-B-16", "openai", "Radford et al. 2021; OpenAI", None),
        ("ViT-L-14", "openai", "Radford et al. 2021; OpenAI", None),
        ("ViT-B-32", "laion400m_e32", "Cherti et al. 2023, LAION-400M; OpenCLIP", None),
        ("ViT-B-16", "laion400m_e32", "Cherti et al. 2023, LAION-400M; OpenCLIP", None),
        ("ViT-B-32", "laion2b_s34b_b79k", "Cherti et al. 2023, LAION-2B; LAION", "laion2B-s34B-b79K"),
        ("ViT-B-32", "datacomp_xl_s13b_b90k", "Gadre et al. 2023, DataComp-1B; LAION", "DataComp.XL-s13B-b90K"),
        ("ViT-B-16", "datacomp_xl_s13b_b90k", "Gadre et al. 2023, DataComp-1B; LAION", "DataComp.XL-s13B-b90K"),
        ("ViT-L-14", "datacomp_xl_s13b_b90k", "Gadre et al. 2023, DataComp-1B; LAION", "DataComp.XL-s13B-b90K"),
    ):
        name = f"openclip:{model}.{tag}"
        if laion is None:
            file = next(entry for entry in WEIGHTS if entry.name == name)
        else:
            # LAION publishes no SHA-256: the user downloads the file.
            page = f"https://huggingface.co/laion/CLIP-{model}-{laion}/resolve/main/open_clip_model.safetensors"
            file = Weights(name, f"openclip--{model}.{tag}.safetensors", "", "MIT", page=page, by_name_only=True)
        dim, size, patch, vision, text = architectures[model]
        quick_gelu = tag == "openai" or (model, tag) == ("ViT-B-32", "laion400m_e32")
        config = _config(dim, size, patch, vision, text, quick_gelu=quick_gelu)
        found[name] = _encoder(name, _Model(config, dim, size, 77), file, "MIT", source)
    return found


OPENCLIP: dict[str, Encoder] = _published()
"""The CLIP models with published weights under a clean license, by name."""
