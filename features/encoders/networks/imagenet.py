"""Networks of torchvision and timm that were trained on ImageNet, without their classifiers.

Each class loads the published file under the names of the file, so a wrong file is refused by name and shape.

    load                 for inference: batch normalization is fused into the convolutions
    load_trainable       for training: batch normalization stays separate
    remove_classifier    of a network with random weights
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from photogenic.features.encoders.networks.fuse_batchnorm import fuse_batchnorm
from photogenic.features.encoders.networks.state_dict import read_state_dict

__all__ = ["AlexNet", "EfficientNetLite0", "InceptionV3", "Vgg16"]


class _Trainable(nn.Module):
    """A network that can be fine-tuned."""

    network: Any

    def remove_classifier(self) -> Self:
        raise NotImplementedError

    @classmethod
    def load_trainable(cls, path: Path | None) -> Self:
        net = cls()
        net.network.load_state_dict(read_state_dict(path))
        return net.remove_classifier()

    @classmethod
    def load(cls, path: Path | None) -> nn.Module:
        return fuse_batchnorm(cls.load_trainable(path))


class EfficientNetLite0(_Trainable):
    """Layer `pooled` (1280). Source: Tan & Le 2019; TensorFlow's lite variant, without squeeze-excitation and swish."""

    def __init__(self) -> None:
        super().__init__()
        import timm

        self.network = timm.create_model("tf_efficientnet_lite0")

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"pooled": self.network.forward_head(self.network.forward_features(x), pre_logits=True)}

    def remove_classifier(self) -> Self:
        self.network.reset_classifier(0)
        return self

    @classmethod
    def load_trainable(cls, path: Path | None) -> Self:
        net = cls()
        published = read_state_dict(path)
        # The publisher's names differ from those of timm; order and shapes are the same.
        net.network.load_state_dict(dict(zip(net.network.state_dict(), published.values(), strict=True)))
        return net.remove_classifier()


class InceptionV3(_Trainable):
    """Layer `prelogits` (2048), the pooled features. Source: Szegedy et al. 2015, "Rethinking Inception"."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import Inception3

        self.network = Inception3(aux_logits=True, transform_input=False, init_weights=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"prelogits": self.network(x)}

    def remove_classifier(self) -> Self:
        # Without this, the network also returns the auxiliary classifier's output in training mode.
        self.network.AuxLogits, self.network.aux_logits = None, False
        self.network.fc = nn.Identity()
        return self


class AlexNet(_Trainable):
    """Layers `fc6` and `fc7` (4096 each), after the relu, as Caffe's layers of these names. Source: Krizhevsky 2014."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import AlexNet as Published

        self.network = Published()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        net = self.network
        dropout, fc6, relu6, dropout7, fc7, relu7, _ = net.classifier
        x6 = relu6(fc6(dropout(net.avgpool(net.features(x)).flatten(1))))
        # Not in place, because fc6 is returned too.
        return {"fc6": x6, "fc7": relu7(fc7(dropout7(x6)))}

    def remove_classifier(self) -> Self:
        self.network.classifier[-1] = nn.Identity()
        return self


class Vgg16(nn.Module):
    """Layer `fc7` (4096), after the relu. Source: Simonyan & Zisserman 2014, configuration D."""

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
        net.network.load_state_dict(read_state_dict(path))
        net.network.classifier[-1] = nn.Identity()
        return net
