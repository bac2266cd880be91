"""A CLIP pair of a few layers that a test trains itself, in seconds, on drawn circles and squares with captions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

from photogenic.features.encoders.device import torch_threads

NAME = "openclip:tiny"
COLORS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220)}
SHAPES = ("circle", "square")
KINDS = [(color, shape) for color in COLORS for shape in SHAPES]
CAPTIONS = [f"a {color} {shape}" for color, shape in KINDS]
SIZE = 32
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 1, 1], "width": 8, "head_width": 32, "patch_size": None},
    "text_cfg": {"context_length": 12, "vocab_size": 49_408, "width": 32, "heads": 2, "layers": 1},
}
PICTURE = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def drawn(kind: int, seed: int, side: int = 64) -> Image.Image:
    """A circle or square near the middle of a background of some gray."""
    color, shape = KINDS[kind]
    rng = np.random.default_rng((kind, seed))
    picture = Image.new("RGB", (side, side), tuple(int(v) for v in rng.integers(90, 240) + rng.integers(-9, 9, 3)))
    width = int(side * rng.uniform(0.55, 0.65))
    left, top = (int(v) for v in (side - width) // 2 + rng.integers(-4, 5, 2))
    pen = ImageDraw.Draw(picture)
    fill = tuple(int(v) for v in np.clip(np.array(COLORS[color]) + rng.integers(-20, 20, 3), 0, 255))
    (pen.ellipse if shape == "circle" else pen.rectangle)((left, top, left + width, top + width), fill=fill)
    return picture


def png(kind: int, seed: int) -> bytes:
    file = io.BytesIO()
    drawn(kind, seed).save(file, "PNG")
    return file.getvalue()


def put_config(folder: Path, name: str = "tiny") -> None:
    text = json.dumps({"model_cfg": CONFIG, "preprocess_cfg": PICTURE})
    (folder / f"openclip--{name}.json").write_text(text)


def random_model(seed: int = 0) -> torch.nn.Module:
    from open_clip.model import CLIP

    torch.manual_seed(seed)
    model: torch.nn.Module = CLIP(**CONFIG)
    return model.eval()


def put_random(folder: Path, name: str = "tiny", seed: int = 0) -> torch.nn.Module:
    """The configuration and random weights of the pair, as files of the user's own; and the model itself."""
    model = random_model(seed)
    put_config(folder, name)
    safetensors.torch.save_file(model.state_dict(), folder / f"openclip--{name}.safetensors")
    return model


def put_trained(folder: Path, updates: int = 100) -> float:
    """Train the pair, and put its files into a folder. Returns the accuracy in the last updates."""
    from open_clip import tokenize

    with torch_threads(1):
        model = random_model(2).train()
        words = tokenize(CAPTIONS, context_length=12)
        y = torch.arange(len(KINDS)).repeat(40)
        pictures = np.stack([np.asarray(drawn(int(k), 10_000 + i).resize((SIZE, SIZE))) for i, k in enumerate(y)])
        X = ((torch.from_numpy(pictures) / 255 - 0.5) / 0.25).permute(0, 3, 1, 2).contiguous()
        model.token_embedding.weight.requires_grad_(False)  # most of the numbers, of which a few words are used
        optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad and one.ndim], lr=4e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=updates)
        accuracies = []
        for _ in range(updates):
            some = torch.randint(len(X), (48,))
            logits = 20 * model.encode_image(X[some], normalize=True) @ model.encode_text(words, normalize=True).T
            optimizer.zero_grad()
            functional.cross_entropy(logits, y[some]).backward()
            optimizer.step()
            schedule.step()
            accuracies.append(float((logits.argmax(1) == y[some]).float().mean()))
    put_config(folder)
    safetensors.torch.save_file(model.state_dict(), folder / "openclip--tiny.safetensors")
    return float(np.mean(accuracies[-10:]))
