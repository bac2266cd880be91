"""Fine-tune a backbone: jobs, recipes, augmentation, the training loop and checkpoints."""

from __future__ import annotations

__all__: list[str] = []
