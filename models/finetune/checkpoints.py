"""Checkpoints of a training loop that may be killed: tensors in safetensors, then the manifest that names them.

    <folder>/state-<step>.safetensors   weights and optimizer state after this many updates
    <folder>/best-<step>.safetensors    weights with the lowest dev loss so far
    <folder>/checkpoint.json            names both files with digests, and holds the other values; replaced last

Files that the manifest does not name are left over; the next checkpoint removes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from photogenic._lazy import safetensors, torch
from photogenic.warehouse import StoreError
from photogenic.warehouse.storage.layout import replacing, sha256_of, write_atomically
from photogenic.warehouse.storage.manifest import (
    checked_file_name,
    dump_with_digest,
    load_with_digest,
    read_limited,
    to_dataclass,
)

__all__ = ["Checkpoint", "load", "read_tensors", "restore", "save", "tensors_of", "write_tensors"]

_MANIFEST = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a training loop.

    Attributes:
        step: number of updates done.
        curve: (updates, dev loss) of every evaluation on dev.
        best_step: number of updates at the lowest dev loss.
        scale: scale of the loss, for gradients in half precision.
        events: size in bytes of the valid part of the event file.
        files: SHA-256 of the state file and the best file, by name.
        done: whether training has ended.
    """

    step: int
    curve: list[tuple[int, float]]
    best_step: int
    scale: dict[str, float]
    events: int
    files: dict[str, str]
    done: bool = False

    @property
    def state(self) -> str:
        return f"state-{self.step}.safetensors"

    @property
    def best(self) -> str:
        return f"best-{self.best_step}.safetensors"


def save(
    folder: Path, checkpoint: Checkpoint, state: Mapping[str, torch.Tensor], best: Mapping[str, torch.Tensor] | None
) -> Checkpoint:
    """Replace the checkpoint in `folder` and return it. `best`: new best weights. None: keep the present ones."""
    files = {checkpoint.state: write_tensors(folder / checkpoint.state, state)}
    if best is not None:
        files[checkpoint.best] = write_tensors(folder / checkpoint.best, best)
    else:
        files[checkpoint.best] = checkpoint.files[checkpoint.best]
    complete = replace(checkpoint, files=files)
    write_atomically(folder / _MANIFEST, dump_with_digest(asdict(complete)))
    for path in folder.glob("*.safetensors"):
        if path.name not in files:
            path.unlink()
    return complete


def load(folder: Path) -> Checkpoint | None:
    """Read the checkpoint in `folder` and check its files. None: there is no checkpoint.

    Raises:
        StoreError: a file differs from the digest in the manifest.
    """
    path = folder / _MANIFEST
    if not path.exists():
        return None
    try:
        found = to_dataclass(Checkpoint, load_with_digest(read_limited(path)))
        for name in found.files:
            checked_file_name(name)
    except ValueError as error:
        raise StoreError(
            f"{path} is damaged: {error}", "a checkpoint as it was written", f"remove {folder}: training then restarts"
        ) from error
    for name, digest in found.files.items():
        actual = sha256_of(folder / name) if (folder / name).exists() else "none"
        if actual != digest:
            raise StoreError(
                f"The checkpoint {folder / name} has SHA-256 {actual}.",
                f"SHA-256 {digest}, as in {path}",
                f"remove {folder}; training then starts again",
            )
    return found


def tensors_of(module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return weights and optimizer state by name, on the CPU."""
    found = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    for place, moments in optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{place}.{key}": tensor for key, tensor in moments.items() if tensor is not None}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def restore(module: torch.nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Load the tensors of `tensors_of` into module and optimizer."""
    weights = [name for name in tensors if name.startswith("module.")]
    module.load_state_dict({name.removeprefix("module."): tensors[name] for name in weights})
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, place, key = name.split(".", 2)
            state.setdefault(int(place), {})[key] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write safetensors atomically, so that readers see a whole file or none; return the SHA-256 of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        safetensors.torch.save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary)
        temporary.chmod(path.parent.stat().st_mode & 0o666)  # safetensors makes files that only the owner can read
        return sha256_of(temporary)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file, on the CPU."""
    found: dict[str, torch.Tensor] = safetensors.torch.load_file(path)
    return found
