"""Batch normalisation folded into the convolution before it: the same numbers to 1e-5 for half the memory traffic."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

__all__ = ["folded"]


def folded(module: nn.Module) -> nn.Module:
    """`module` in evaluation mode, changed in place.

    Only for networks whose every BatchNorm2d normalises the convolution registered just before it, as in
    torchvision's and timm's convolution blocks; timm's fused activation (`.act`) stays.
    """
    module.eval()
    before: nn.Module | None = None
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            assert child.running_mean is not None
            assert child.running_var is not None
            before.weight, before.bias = fuse_conv_bn_weights(
                before.weight, before.bias, child.running_mean, child.running_var, child.eps, child.weight, child.bias
            )
            setattr(module, name, getattr(child, "act", nn.Identity()))
        else:
            folded(child)
        before = child
    return module
