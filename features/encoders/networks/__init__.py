"""Backbones that this project writes out itself, one file each, nothing but torch.

Each takes a normalised batch float32 (n, 3, s, s) and returns its layers by name, (n, d) each.
Names and shapes of the weights are those of the published files, so that these load as they are.
"""

__all__: list[str] = []
