"""Every network has the published names, shapes and arithmetic, and is found by its name."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from photogenic.features.encoders import batch_embedder as embedder_module
from photogenic.features.encoders import registry
from photogenic.features.encoders.base import Backbone, Encoder
from photogenic.features.encoders.batch_embedder import Embedder, embedders
from photogenic.features.encoders.device import Device, choose, torch_threads
from photogenic.features.encoders.networks import imagenet
from photogenic.features.encoders.networks.facenet import FaceNet
from photogenic.features.encoders.networks.fuse_batchnorm import fuse_batchnorm
from photogenic.features.encoders.networks.imagenet import AlexNet, EfficientNetLite0, InceptionV3, Vgg16
from photogenic.features.encoders.registry import ENCODERS, encoder, register
from photogenic.warehouse import EncoderError, WeightsError

pytestmark = pytest.mark.slow

CPU = choose("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    with torch_threads(1):
        yield


def _filled(module: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights that preserve the scale of signals at any depth, from numpy's generator, by sorted name."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, tensor in sorted(module.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
            continue
        # Tens of millions of weights take seconds to draw, so they repeat after five million.
        drawn = rng.standard_normal(min(tensor.numel(), 5_000_011), dtype=np.float32)
        values = np.resize(drawn, tuple(tensor.shape))
        if name.endswith("running_var"):
            values = 1 + values**2
        elif tensor.ndim > 1:
            values *= (2 / np.prod(tensor.shape[1:])) ** 0.5
        elif name.endswith("bn.weight"):
            values = 1 + 0.1 * values
        else:
            values *= 0.1
        state[name] = torch.from_numpy(np.asarray(values))
    return state


def _saved(network: nn.Module, folder: Path, file: str) -> dict[str, torch.Tensor]:
    state = _filled(network)
    # Most of the published files are in torch's older format.
    torch.save(state, folder / file, _use_new_zipfile_serialization=False)
    return state


def _batch(size: int, n: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((n, 3, size, size)).astype(np.float32))


def test_names_and_shapes_are_those_of_the_published_files():
    published = json.loads(gzip.decompress((Path(__file__).parent / "state_dicts.json.gz").read_bytes()))
    with torch.device("meta"):
        networks: dict[str, nn.Module] = {
            "inception_v3": InceptionV3().network,
            "alexnet": AlexNet().network,
            "vgg16": Vgg16().network,
            "facenet": FaceNet(),
            "efficientnet_lite0": EfficientNetLite0().network,
        }
    assert set(networks) == set(published)
    for name, network in networks.items():
        ours = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
        assert ours == published[name], name


def test_alexnet_matches_torchvision_and_returns_both_layers_in_one_pass(monkeypatch):
    from torchvision.models import alexnet

    theirs = alexnet(weights=None).eval()
    state = _filled(theirs)
    theirs.load_state_dict(state)
    monkeypatch.setattr(imagenet, "read_state_dict", lambda _: state)
    ours = AlexNet.load(None).eval()
    with torch.inference_mode():
        x = _batch(224)
        found = ours(x)
        assert torch.allclose(theirs.classifier[-1](found["fc7"]), theirs(x), atol=1e-5)
        pooled = theirs.avgpool(theirs.features(x)).flatten(1)
        assert torch.allclose(found["fc6"], theirs.classifier[:3](pooled), atol=1e-5)
    passes = []
    backbone = Backbone("alexnet", "photo", 224, "centre", (0, 0, 0), (1, 1, 1), lambda _: _Counting(ours, passes))
    pair = [Encoder(f"a_{layer}", backbone, layer, 4096, "cosine", "", "") for layer in ("fc6", "fc7")]
    (embedder,) = embedders(pair, CPU, exact=False)
    vectors = embedder(list(np.zeros((3, 224, 224, 3), np.uint8)))
    assert {name: X.shape for name, X in vectors.items()} == {"a_fc6": (3, 4096), "a_fc7": (3, 4096)}
    assert len(passes) == 1


def test_large_jobs_compile_the_network(monkeypatch):
    asked = []

    def translate(module, **options):
        asked.append(options)
        return torch.compile(module, backend="eager", **options)  # traced as in a real run, without a compiler

    monkeypatch.setattr(embedder_module, "_torch_compile", translate)
    device, pictures = dataclasses.replace(CPU, batch=4, compile_from=3), list(_pictures(8, 5))
    backbone = Backbone("small", "photo", 8, "centre", (0, 0, 0), (1, 1, 1), lambda _: _Small())
    one = [Encoder("small", backbone, "top", 6, "l2", "", "")]
    (plain,), (compiled,) = (embedders(one, device, n_pictures=n) for n in (11, 12))
    assert asked == [{"dynamic": False}]
    for flip in (False, True):
        mine, theirs = (made(pictures, flip=flip)["small"] for made in (compiled, plain))
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    assert not CPU.compiles(10**9)


def test_a_network_that_does_not_compile_runs_uncompiled(monkeypatch, caplog):
    def fail(module, **_):
        def call(x):
            raise RuntimeError("no compiler here\nand more")

        return call

    monkeypatch.setattr(embedder_module, "_torch_compile", fail)
    backbone = Backbone("small", "photo", 8, "centre", (0, 0, 0), (1, 1, 1), lambda _: _Small())
    made = Embedder([Encoder("small", backbone, "top", 6, "l2", "", "")], CPU, compiled=True)
    assert made(list(_pictures(8, 3)))["small"].shape == (3, 6)
    assert caplog.messages == ["small runs without torch.compile: no compiler here"]


def test_overflow_in_half_precision_is_computed_again_in_single(monkeypatch):
    halved = []

    @contextlib.contextmanager
    def half(_):
        halved.append(True)
        yield
        halved.pop()

    class Large(_Small):
        def forward(self, x):
            found = super().forward(x)
            return {"top": found["top"] / 0} if halved else found

    monkeypatch.setattr(Device, "precision", half)
    of = [
        Encoder(name, Backbone(name, "photo", 8, "centre", (9, 9, 9), (1, 1, 1), made), "top", 6, "l2", "", "")
        for name, made in (("large", lambda _: Large()), ("small", lambda _: _Small()))
    ]
    pictures, device = _pictures(8, 6), Device("cpu", batch=4, half=True)
    (large,), (small,) = (Embedder([one], device)(pictures).values() for one in of)
    np.testing.assert_array_equal(large, small)


def _pictures(size: int, n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


class _Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"top": self.conv(x).relu().mean((2, 3))}


class _Counting(nn.Module):
    def __init__(self, inner: nn.Module, passes: list[int]) -> None:
        super().__init__()
        self.inner, self.passes = inner, passes

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.passes.append(len(x))
        answer: dict[str, torch.Tensor] = self.inner(x)
        return answer


def test_vgg16_matches_torchvision(monkeypatch):
    from torchvision.models import vgg16

    theirs = vgg16(weights=None, init_weights=False).eval()
    state = _filled(theirs)
    theirs.load_state_dict(state)
    monkeypatch.setattr(imagenet, "read_state_dict", lambda _: state)  # avoids half a gigabyte on disk
    ours = Vgg16.load(None).eval()
    with torch.inference_mode():
        x = _batch(224, n=1)
        assert torch.allclose(theirs.classifier[-1](ours(x)["fc7"]), theirs(x), atol=1e-5)


def test_inception_matches_torchvision_after_fusing(tmp_path):
    from torchvision.models import Inception3

    theirs = Inception3(transform_input=False, init_weights=False).eval()
    theirs.load_state_dict(_saved(InceptionV3().network, tmp_path, "inception.pth"))
    ours = InceptionV3.load(tmp_path / "inception.pth").eval()
    with torch.inference_mode():
        x = _batch(299)
        found = ours(x)["prelogits"]
        assert found.shape == (2, 2048)
        assert torch.allclose(theirs.fc(found), theirs(x), atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ours.modules())


def test_inceptions_input_is_what_its_publisher_scales_to():
    # torchvision normalizes for ImageNet, then transforms inside the network (transform_input).
    from torchvision.models import Inception3

    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8)).astype(np.float32)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    theirs = (pixels / 255 - mean[:, None, None]) / std[:, None, None]
    with torch.device("meta"):
        network = Inception3(transform_input=True, init_weights=False)
    inside = network._transform_input(torch.from_numpy(theirs)[None])[0].numpy()
    b = ENCODERS["inception_v3"].backbone
    ours = (pixels - np.array(b.mean)[:, None, None]) / np.array(b.std)[:, None, None]
    assert np.abs(ours - inside).max() < 1e-5


def test_facenet_matches_the_published_code(tmp_path):
    # Expected numbers: facenet-pytorch 2.6.0's InceptionResnetV1 on the same weights and batch.
    _saved(FaceNet(), tmp_path, "facenet.pt")
    ours = FaceNet.load(tmp_path / "facenet.pt").eval()
    with torch.inference_mode():
        found = ours(_batch(160))["embedding"].numpy()
    assert found.shape == (2, 512)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert found[0, :5] == pytest.approx([-0.04185898, 0.06058378, -0.04867512, -0.02432704, -0.02814915], abs=2e-6)
    assert found[1, -3:] == pytest.approx([0.01821950, 0.02462542, 0.05309785], abs=2e-6)


def test_efficientnet_matches_the_published_weights_after_fusing():
    published = EfficientNetLite0.load(_path("efficientnet_lite0")).eval()
    plain = EfficientNetLite0()
    state = torch.load(_path("efficientnet_lite0"), weights_only=True)
    plain.network.load_state_dict(dict(zip(plain.network.state_dict(), state.values(), strict=True)))
    with torch.inference_mode():
        x = _batch(224)
        assert torch.allclose(published(x)["pooled"], plain.eval()(x)["pooled"], atol=5e-5)


def _path(name: str) -> Path:
    from photogenic.features.encoders.weights import resolve, weights

    return resolve(weights(name))


def test_fusing_removes_every_batch_normalization_and_keeps_the_output():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4)
    )
    net.load_state_dict(_filled(net))
    net.eval()
    with torch.inference_mode():
        x = _batch(12)
        before = net(x)
        assert torch.allclose(fuse_batchnorm(net)(x), before, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize("name", list(ENCODERS))
def test_the_table_says_what_contract_says(name):
    promised = {
        "inception_v3": (2048, "photo", 299),
        "facenet": (512, "face", 160),
        "alexnet_fc6": (4096, "photo", 224),
        "alexnet_fc7": (4096, "photo", 224),
        "vgg16_fc7": (4096, "photo", 224),
        "efficientnet_lite0": (1280, "photo", 224),
        "dlib_face": (128, "face", 150),
    }
    e = encoder(name)
    assert (e.dim, e.input, e.size) == promised[name]
    assert e.licence
    assert e.source


def test_the_default_pair_is_available_and_the_digest_names_what_decides_a_vector():
    for name in registry.DEFAULT:
        assert encoder(name).available
    photo, face = (encoder(name) for name in registry.DEFAULT)
    assert photo.digest("one detector") == photo.digest("another")
    assert face.digest("one detector") != face.digest("another")
    assert len({e.digest() for e in (photo, face)}) == 2


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes(b"not it")
    with pytest.raises(WeightsError, match="is not the published alexnet"):
        encoder("alexnet_fc6").backbone.module()
    mine = Backbone("mine", "photo", 160, "centre", (0, 0, 0), (1, 1, 1), lambda _: FaceNet.load(tmp_path / "wrong.pt"))
    torch.save({"conv2d_1a.conv.weight": torch.zeros(1)}, tmp_path / "wrong.pt")
    with pytest.raises(WeightsError, match="does not fit mine"):
        mine.module()


def test_any_model_of_timm_is_an_encoder(tmp_path, monkeypatch):
    import timm
    from safetensors.torch import save_file

    name = "timm:test_resnet.r160_in1k"
    found = encoder(name)
    assert (found.dim, found.size, found.input, found.licence) == (96, 160, "photo", "apache-2.0")
    assert not found.available
    network: Any = timm.create_model("test_resnet", num_classes=1000)
    save_file(network.state_dict(), tmp_path / "timm--test_resnet.r160_in1k.safetensors")
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    assert found.available
    vectors = Embedder([found], CPU, exact=False)([np.full((160, 160, 3), 127, np.uint8)])
    network.reset_classifier(0)
    with torch.inference_mode():
        grey = torch.full((1, 3, 160, 160), (127 - 127.5) / 127.5)
        expected = network.eval()(grey).numpy()
    assert np.abs(vectors[name] - expected).max() < 1e-4
    assert encoder(name) is found


def test_a_name_that_timm_does_not_know_is_answered_with_near_ones():
    with pytest.raises(EncoderError, match="'resnet5O'") as caught:
        encoder("timm:resnet5O")
    assert "--encoder timm:resnet5" in caught.value.remedy


_YOURS = """
import torch
from photogenic.features.encoders import Backbone, Encoder, register

class Mean(torch.nn.Module):
    def forward(self, x):
        return {"mean": x.mean((2, 3))}

backbone = Backbone("mean", "photo", 32, "centre", (0, 0, 0), (255, 255, 255), lambda _: Mean())
register(Encoder("mean_colour", backbone, "mean", dim=3, metric="l2", licence="CC0-1.0", source="mine"))
"""


def test_a_user_encoder_takes_ten_lines(tmp_path, monkeypatch):
    (tmp_path / "my_encoders_of_colour.py").write_text(_YOURS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FEATURES_MODULES", "my_encoders_of_colour")
    try:
        yours = encoder("mean_colour")
        picture = np.zeros((32, 32, 3), np.uint8)
        picture[..., 0] = 51
        assert Embedder([yours], CPU)([picture])["mean_colour"][0] == pytest.approx([0.2, 0, 0])
        assert yours in registry.encoders()
        register(yours)
        with pytest.raises(EncoderError, match="is an encoder 'mean_colour' already"):
            register(Encoder("mean_colour", yours.backbone, "mean", 3, "cosine", "", ""))
    finally:
        ENCODERS.pop("mean_colour", None)
    monkeypatch.setenv("FEATURES_MODULES", "no_such_module_at_all")
    with pytest.raises(EncoderError, match="FEATURES_MODULES names 'no_such_module_at_all'"):
        encoder("mean_colour")


def test_a_missing_user_module_does_not_block_published_encoders(monkeypatch):
    monkeypatch.setenv("FEATURES_MODULES", "no_such_module")
    assert encoder("dlib_face").name == "dlib_face"
    with pytest.raises(EncoderError, match="FEATURES_MODULES names 'no_such_module'"):
        encoder("mine")


def test_what_users_import_is_in_the_package_and_loads_no_network():
    program = (
        "import sys, photogenic.features.encoders as package\n"
        "for name in package.__all__: getattr(package, name)\n"
        "assert callable(package.encoder) and callable(package.register)\n"
        "print({'torch', 'timm'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    with pytest.raises(ImportError):
        from photogenic.features.encoders import nobody  # noqa: F401
