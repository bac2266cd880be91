"""A detector of persons: torchvision's SSDlite on MobileNet v3, trained on COCO, reduced to the class `person`.

Sources: Liu et al. 2016, "SSD: Single Shot MultiBox Detector"; Howard et al. 2019, "Searching for MobileNetV3"; Lin et
al. 2014, "Microsoft COCO".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from photogenic.features.encoders.networks.state_dict import read_state_dict

__all__ = ["LEAST_CONFIDENCE", "Persons"]

LEAST_CONFIDENCE = 0.5
"""Least confidence of a person."""

_PERSON, _CLASSES = 1, 91
"""Number of the class in COCO, and number of classes with the background."""

_OVERLAP = 0.55
"""Overlap (intersection over union) above which two boxes are one person, as in torchvision's configuration."""

_MOST = 300
"""Largest number of boxes of a picture that are looked at, as in torchvision's configuration."""


class Persons(nn.Module):
    """Layer `persons` (3): number of persons, share of the picture that their boxes cover, highest confidence.

    The confidence is that of the best box, also where it is too low for a person.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection import ssdlite320_mobilenet_v3_large

        self.network: Any = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=_CLASSES)

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        net = cls()
        net.network.load_state_dict(read_state_dict(path))
        return net

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        with torch.autocast(x.device.type, enabled=False):  # in half precision, scores differ between devices
            maps = list(self.network.backbone(x.float()).values())
            found = self.network.head(maps)
            return {"persons": self._summary(x, maps, found["cls_logits"], found["bbox_regression"])}

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _summary(self, x: Tensor, maps: list[Tensor], logits: Tensor, offsets: Tensor) -> Tensor:
        from torchvision.models.detection.image_list import ImageList
        from torchvision.ops import batched_nms

        n, _, height, width = x.shape
        anchors = self.network.anchor_generator(ImageList(x, [(height, width)] * n), maps)[0]
        scores, best = logits.softmax(-1)[..., _PERSON].topk(min(_MOST, logits.shape[1]), dim=1)
        chosen = offsets.gather(1, best[..., None].expand(-1, -1, 4))
        boxes = self.network.box_coder.decode_single(chosen.reshape(-1, 4), anchors[best].reshape(-1, 4))
        boxes[:, 0::2] = boxes[:, 0::2].clamp(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clamp(0, height)
        owner = torch.arange(n, device=x.device).repeat_interleave(best.shape[1])
        sure = scores.reshape(-1) >= LEAST_CONFIDENCE
        boxes, owner, confidence = boxes[sure], owner[sure], scores.reshape(-1)[sure]
        kept = batched_nms(boxes, confidence, owner, _OVERLAP)
        boxes, owner = boxes[kept], owner[kept]
        across = torch.arange(width, device=x.device) + 0.5
        down = torch.arange(height, device=x.device) + 0.5
        covered = torch.zeros(n, height, width, dtype=torch.bool, device=x.device)
        for at in range(len(boxes)):
            x0, y0, x1, y1 = boxes[at]
            inside = ((down >= y0) & (down < y1))[:, None] & ((across >= x0) & (across < x1))[None]
            covered[owner[at]] |= inside
        counts = torch.bincount(owner, minlength=n).to(x.dtype)
        return torch.stack([counts, covered.flatten(1).float().mean(1), scores[:, 0]], 1)
