"""Data augmentation for training: random crops, mirror images and light changes, all from one seed."""

from __future__ import annotations

from photogenic._lazy import nn, torch

__all__ = ["augmented"]


def augmented(
    pictures: torch.Tensor, size: int, generator: torch.Generator, *, least_crop: float | None, light: float
) -> torch.Tensor:
    """Crop each picture and mirror half of the crops; float32 (n, 3, size, size), 0..255.

    Args:
        pictures: pictures, float32 (n, 3, side, side), 0..255.
        size: side of the result in pixels.
        generator: random generator on the CPU, so that every device has the same draws.
        least_crop: smallest side of a crop as a share of the picture's side; the share is drawn between it and 1. None:
            crops of `size` pixels without resizing.
        light: largest change of light: brightness and contrast are each multiplied by 1 - light to 1 + light.
    """
    n, _, side, _ = pictures.shape
    if least_crop is None:
        share = torch.full((n,), min(size / side, 1.0))
    else:
        share = torch.empty(n).uniform_(least_crop, 1.0, generator=generator)
    at = torch.empty(2, n).uniform_(-1, 1, generator=generator) * (1 - share)
    if least_crop is None:  # aligned to pixels, so that no pixel is interpolated
        at = ((at * side + side - size) / 2).round() * 2 / side - (1 - share)
    mirror = torch.randint(2, (n,), generator=generator) * 2.0 - 1
    brightness, contrast = torch.empty(2, n).uniform_(1 - light, 1 + light, generator=generator)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = share * mirror, share
    theta[:, 0, 2], theta[:, 1, 2] = at
    grid = nn.functional.affine_grid(theta.to(pictures.device), [n, 3, size, size], align_corners=False)
    seen = nn.functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if light:
        factor = contrast.view(n, 1, 1, 1).to(seen.device)
        mean = seen.mean((1, 2, 3), keepdim=True)
        seen = ((seen - mean) * factor + mean) * brightness.view(n, 1, 1, 1).to(seen.device)
        seen = seen.clamp(0, 255)
    return seen
