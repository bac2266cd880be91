"""ImageNet's classifiers, cut off where their features are: torchvision's and timm's networks with named layers.

Every class loads the published file under its own names, so a wrong file is refused by name and shape.
`load` is for looking at pictures: batch normalisation is folded in. `whole` is for training, with it; `cut` takes
off the classifier of a network whose weights are still those it was drawn with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from photogenic.features.encoders.networks.fuse_batchnorm import folded
from photogenic.features.encoders.networks.state_dict import state

__all__ = ["AlexNet", "EfficientNetLite0", "InceptionV3", "Vgg16"]


class EfficientNetLite0(nn.Module):
    """`pooled`: 1280 numbers. Source: Tan & Le 2019; TensorFlow's lite variant, without squeeze and swish."""

    def __init__(self) -> None:
        super().__init__()
        import timm

        self.network: Any = timm.create_model("tf_efficientnet_lite0")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.network.forward_head(self.network.forward_features(x), pre_logits=True)}

    def cut(self) -> Self:
        self.network.reset_classifier(0)
        return self

    @classmethod
    def whole(cls, path: Path | None) -> Self:
        net = cls()
        published = state(path)
        # The publisher's names differ from timm's; order and shapes do not.
        net.network.load_state_dict(dict(zip(net.network.state_dict(), published.values(), strict=True)))
        return net.cut()

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        return folded(cls.whole(path))


class InceptionV3(nn.Module):
    """`prelogits`: 2048 numbers, the pooled features. Source: Szegedy et al. 2015, "Rethinking Inception"."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import Inception3

        self.network = Inception3(aux_logits=True, transform_input=False, init_weights=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"prelogits": self.network(x)}

    def cut(self) -> Self:
        # In training too it answers its features alone, not those of the auxiliary classifier beside them.
        self.network.AuxLogits, self.network.aux_logits = None, False
        self.network.fc = nn.Identity()
        return self

    @classmethod
    def whole(cls, path: Path | None) -> Self:
        net = cls()
        net.network.load_state_dict(state(path))
        return net.cut()

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        return folded(cls.whole(path))


class AlexNet(nn.Module):
    """`fc6`, `fc7`: 4096 numbers each, after their relu, as Caffe's layers of these names. Source: Krizhevsky 2014."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import AlexNet as Published

        self.network = Published()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        net = self.network
        dropout, fc6, relu6, dropout7, fc7, relu7, _ = net.classifier
        x6 = relu6(fc6(dropout(net.avgpool(net.features(x)).flatten(1))))
        # Not in place: fc6 is an answer too.
        return {"fc6": x6, "fc7": relu7(fc7(dropout7(x6)))}

    def cut(self) -> Self:
        self.network.classifier[-1] = nn.Identity()
        return self

    @classmethod
    def whole(cls, path: Path | None) -> Self:
        net = cls()
        net.network.load_state_dict(state(path))
        return net.cut()

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        return folded(cls.whole(path))


class Vgg16(nn.Module):
    """`fc7`: 4096 numbers, after its relu. Source: Simonyan & Zisserman 2014, configuration D."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg16

        self.network = vgg16(weights=None, init_weights=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        net = self.network
        return {"fc7": net.classifier[:-1](net.avgpool(net.features(x)).flatten(1))}

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        net = cls()
        net.network.load_state_dict(state(path))
        net.network.classifier[-1] = nn.Identity()
        return net
