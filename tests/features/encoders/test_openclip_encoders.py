"""CLIP models of open_clip: towers with random weights, files of strangers, and no network."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import socket
import urllib.request
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("open_clip", reason="the extra text is not installed")

import open_clip
import safetensors.torch
from open_clip.factory import get_model_config
from PIL import Image

from photogenic.features.compute.preprocess import crop_for_encoder
from photogenic.features.encoders import weights
from photogenic.features.encoders.batch_embedder import Embedder
from photogenic.features.encoders.device import choose, torch_threads
from photogenic.features.encoders.networks import openclip as towers
from photogenic.features.encoders.openclip_encoders import OPENCLIP
from photogenic.features.encoders.registry import encoder, encoders, uses_published_weights
from photogenic.features.encoders.weight_files import WEIGHTS
from photogenic.features.images.decode import decode
from photogenic.features.text.towers import Tower
from photogenic.warehouse import EncoderError, MissingPartError, WeightsError
from tests.faults.test_hostile_weights import Malice, archive
from tests.features.text.tiny_pair import CAPTIONS, CONFIG, NAME, PICTURE, SIZE, drawn, put_random

VIT = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49_408, "width": 32, "heads": 2, "layers": 2},
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    """No connection at all: not by a socket, not by urllib."""

    def refuse(*_args, **_named):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    for name in ("download_pretrained", "download_pretrained_from_hf", "get_pretrained_cfg"):
        monkeypatch.setattr(open_clip.factory, name, refuse)
    with torch_threads(1):
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURES_WEIGHTS", str(tmp_path))
    return tmp_path


def put(folder, settings, name="tiny", *, custom=False):
    """A model of these settings with random weights, and its files."""
    torch.manual_seed(1)
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    model = kind(**settings).eval()
    (folder / f"openclip--{name}.json").write_text(json.dumps(settings | ({"custom_text": True} if custom else {})))
    safetensors.torch.save_file(model.state_dict(), folder / f"openclip--{name}.safetensors")
    return model


@pytest.mark.parametrize("custom", [False, True], ids=["plain", "custom_text"])
@pytest.mark.parametrize(
    "settings",
    [
        VIT,
        CONFIG,
        CONFIG | {"vision_cfg": {"image_size": 32, "timm_model_name": "resnet10t", "timm_model_pretrained": True}},
        pytest.param(
            VIT | {"vision_cfg": {"image_size": 224, "timm_model_name": "vit_relpos_small_patch16_rpn_224"}},
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["ViT", "ResNet", "timm", "timm with tables"],
)
def test_vectors_are_those_of_open_clip(folder, settings, custom):
    own = json.loads(json.dumps(settings))
    own["vision_cfg"].pop("timm_model_pretrained", None)
    model = put(folder, own, custom=custom)
    (folder / "openclip--tiny.json").write_text(json.dumps(settings | ({"custom_text": True} if custom else {})))
    entry = encoder("openclip:tiny")
    assert (entry.input, entry.dim, entry.metric) == ("photo", settings["embed_dim"], "cosine")
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 3, entry.size, entry.size), np.float32))
    ids = torch.from_numpy(np.stack([entry.text.tokens(caption).ids for caption in CAPTIONS]))
    with torch.inference_mode():
        image = entry.backbone.module().eval()(x)["image"]
        words = entry.text_module().eval()(ids)
        torch.testing.assert_close(image, model.encode_image(x, normalize=True), rtol=0, atol=1e-6)
        torch.testing.assert_close(words, model.encode_text(ids, normalize=True), rtol=0, atol=1e-6)
    for found in (image, words):
        torch.testing.assert_close(found.norm(dim=1), torch.ones(len(found)), rtol=0, atol=1e-5)


def test_a_picture_has_the_same_bits_alone_and_in_a_batch(folder):
    put_random(folder)
    embedder = Embedder([encoder(NAME)], choose("cpu"))
    pictures = [np.asarray(drawn(kind, 0, SIZE)) for kind in range(6)]
    together = embedder(pictures)[NAME]
    assert np.array_equal(together, np.concatenate([embedder([picture])[NAME] for picture in pictures]))
    assert np.array_equal(together, Embedder([encoder(NAME)], choose("cpu"))(pictures)[NAME])


def test_pictures_are_prepared_as_open_clip_does(folder):
    """Crop, size, mean and deviation: the vectors differ only by the filter of the reduction."""
    model = put_random(folder)
    entry = encoder(NAME)
    prepare = open_clip.image_transform(SIZE, is_train=False, mean=tuple(PICTURE["mean"]), std=tuple(PICTURE["std"]))

    for side in ((64, 64), (96, 64), (64, 96)):
        picture = drawn(0, 1).resize(side, Image.Resampling.BICUBIC)
        file = io.BytesIO()
        picture.save(file, "PNG")
        ours = crop_for_encoder(entry.backbone.input_spec, file.getvalue(), decode(file.getvalue()), [])
        with torch.inference_mode():
            theirs = model.encode_image(prepare(picture)[None], normalize=True)[0].numpy()
        assert float(Embedder([entry], choose("cpu"))([ours])[NAME][0] @ theirs) > 0.999


@pytest.mark.parametrize("name", OPENCLIP)
def test_published_models_are_those_of_open_clip(name):
    entry = OPENCLIP[name]
    model, tag = name.removeprefix("openclip:").split(".")
    known = open_clip.pretrained._PRETRAINED[model][tag]
    theirs = get_model_config(model)
    ours = json.loads(entry.backbone.build.args[0])
    assert ours.pop("quick_gelu") == known.get("quick_gelu", False)
    assert ours == theirs
    assert (entry.dim, entry.size) == (theirs["embed_dim"], theirs["vision_cfg"]["image_size"])
    assert np.allclose(entry.backbone.mean, 255 * np.array(known["mean"]))
    assert np.allclose(entry.backbone.std, 255 * np.array(known["std"]))
    file = entry.backbone.weights
    assert file.by_name_only
    assert entry.licence == file.licence == "MIT"
    if file.url is not None:
        assert file in WEIGHTS
        assert file.url == known["url"]
        assert file.sha256 in file.url
    else:
        assert file.page == f"https://huggingface.co/{known['hf_hub']}resolve/main/open_clip_model.safetensors"
        assert not file.sha256


def test_encoders_are_listed_without_open_clip():
    assert {one.name for one in encoders() if one.text is not None} == set(OPENCLIP)
    assert uses_published_weights(
        "openclip:ViT-B-32.openai", OPENCLIP["openclip:ViT-B-32.openai"].backbone.weights.sha256
    )
    assert not uses_published_weights("openclip:ViT-B-32.openai", "0" * 64)


def test_architectures_of_open_clip_are_found_by_their_names(folder):
    entry = encoder("openclip:ViT-S-32-alt")
    assert (entry.dim, entry.size) == (256, 224)
    assert not entry.available
    assert encoder("openclip:ViT-B-32.mine").backbone.weights.file == "openclip--ViT-B-32.mine.safetensors"


def test_nothing_is_downloaded_unless_the_file_is_named(folder, monkeypatch):
    monkeypatch.setattr(weights, "cache", lambda: folder / "cache")
    for name in ("openclip:ViT-B-32.openai", "openclip:ViT-B-32.datacomp_xl_s13b_b90k", "openclip:ViT-B-32"):
        entry = encoder(name)
        assert not entry.available
        with pytest.raises(WeightsError, match="not on this machine") as caught:
            entry.backbone.module()
        assert entry.backbone.weights.file in str(caught.value)
    with pytest.raises(WeightsError, match=r"features weights fetch openclip:ViT-B-32\.openai"):
        encoder("openclip:ViT-B-32.openai").text_module()
    with pytest.raises(WeightsError, match=r"download https://huggingface\.co/laion/CLIP-ViT-B-32-DataComp"):
        encoder("openclip:ViT-B-32.datacomp_xl_s13b_b90k").backbone.module()


def test_a_file_that_is_named_is_downloaded_and_checked(folder, monkeypatch):
    monkeypatch.setattr(weights, "cache", lambda: folder / "cache")
    asked = []
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda url, timeout: asked.append(url) or (folder / "other").open("rb")
    )
    (folder / "other").write_bytes(b"not the weights")
    with pytest.raises(WeightsError, match="is not the published openclip"):
        weights.fetch(["openclip:ViT-B-32.openai"])
    assert asked == [OPENCLIP["openclip:ViT-B-32.openai"].backbone.weights.url]
    assert not (folder / "cache").exists()


def changed(state, **tensors):
    return {name: tensor for name, tensor in (state | tensors).items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"visual.conv1.weight": torch.zeros(3)}, r"visual.conv1.weight has shape \(3,\) where the model has \(4, 3"),
        ({"visual.conv1.weight": None}, "it lacks 'visual.conv1.weight'"),
        ({"token_embedding.weight": None, "ln_final.bias": None}, "it lacks 'ln_final.bias' and 1 more"),
        ({"visual.more": torch.zeros(2)}, "it has the unknown 'visual.more'"),
    ],
)
def test_a_file_of_another_model_is_refused(folder, tensors, said):
    model = put_random(folder)
    state = changed(dict(model.state_dict()), **tensors)
    safetensors.torch.save_file(state, folder / "openclip--tiny.safetensors")
    for load in (encoder(NAME).backbone.module, encoder(NAME).text_module):
        with pytest.raises(WeightsError, match=said):
            load()


@pytest.mark.parametrize("form", ["pt", "checkpoint", "half"])
def test_other_forms_of_the_same_weights_give_the_same_vectors(folder, form):
    model = put_random(folder)
    state = dict(model.state_dict())
    if form == "half":
        safetensors.torch.save_file(
            {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
            folder / "openclip--tiny.safetensors",
        )
    elif form == "pt":
        torch.save(state, folder / "openclip--tiny.safetensors")
    else:
        parallel = {f"module.{name}": tensor for name, tensor in state.items()}
        torch.save({"epoch": 3, "name": "a", "state_dict": parallel}, folder / "openclip--tiny.safetensors")
    entry = encoder(NAME)
    ids = torch.from_numpy(entry.text.tokens("a red circle").ids)[None]
    with torch.inference_mode():
        found, wanted = entry.text_module().eval()(ids), model.encode_text(ids, normalize=True)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-2 if form == "half" else 1e-6)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff" * 100,
        b"\x08\0\0\0\0\0\0\0{}      ",
        (1 << 60).to_bytes(8, "little") + b"{" * 30,
        b"PK\x03\x04" + b"\0" * 60,
    ],
    ids=["empty", "brace", "ones", "no tensors", "huge header", "zip"],
)
def test_hostile_files_are_refused(folder, data):
    put_random(folder)
    (folder / "openclip--tiny.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="does not fit openclip:tiny"):
        encoder(NAME).backbone.module()


def test_no_code_of_a_file_runs(folder):
    put_random(folder)
    (folder / "openclip--tiny.safetensors").write_bytes(archive(Malice(folder / "ran")))
    with pytest.raises(WeightsError, match="not a weight file"):
        encoder(NAME).text_module()
    assert not (folder / "ran").exists()


def test_a_torchscript_archive_is_opened_only_if_it_is_the_published_file(folder, monkeypatch):
    """OpenAI published its weights as TorchScript, which holds code."""
    model = put_random(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.save(torch.jit.trace_module(model, {"encode_image": torch.zeros(1, 3, SIZE, SIZE)}), folder / "a.pt")
    data = (folder / "a.pt").read_bytes()
    (folder / "openclip--tiny.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match="is a TorchScript archive, which holds code"):
        encoder(NAME).backbone.module()
    config = encoder(NAME).backbone.build.args[0]
    with pytest.raises(ValueError, match="TorchScript"):
        towers.load_image_tower(config, "0" * 64, folder / "a.pt")
    found = towers.load_image_tower(config, hashlib.sha256(data).hexdigest(), folder / "a.pt")
    x = torch.ones(1, 3, SIZE, SIZE)
    with torch.inference_mode():
        torch.testing.assert_close(found(x)["image"], model.encode_image(x, normalize=True))


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("text_cfg", {"hf_tokenizer_name": "a/b"}, "hf_tokenizer_name names a part that a hub holds"),
        ("text_cfg", {"hf_model_name": "roberta-base"}, "hf_model_name names a part that a hub holds"),
        ("vision_cfg", {"timm_model_name": "hf-hub:a/b"}, "timm_model_name is no name of timm"),
        ("vision_cfg", {"timm_model_name": 3}, "timm_model_name is no name of timm"),
        ("vision_cfg", {"image_size": [32, 64]}, "not one side"),
        ("vision_cfg", {"image_size": 10**6}, "not one side"),
        ("vision_cfg", {"layers": 10**9}, "vision_cfg.layers is 1000000000"),
        ("text_cfg", {"layers": 10**9}, "text_cfg.layers is 1000000000"),
        ("text_cfg", {"vocab_size": 10**12}, "vocab_size is 1000000000000, not 49408"),
        ("text_cfg", {"context_length": 2}, "context_length is 2"),
        ("text_cfg", {"tokenizer_kwargs": {"reduction_mask": "random"}}, "tokenizer_kwargs has another setting"),
        (None, {"embed_dim": True}, "embed_dim is True"),
        (None, {"multimodal_cfg": {}}, "models with a decoder"),
        (None, {"vision_cfg": 3}, "no vision_cfg and text_cfg"),
    ],
)
def test_configurations_of_strangers_are_checked(folder, part, change, said):
    settings = json.loads(json.dumps(CONFIG))
    (settings if part is None else settings[part]).update(change)
    (folder / "openclip--tiny.json").write_text(json.dumps(settings))
    with pytest.raises(EncoderError, match=said):
        encoder(NAME)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ({"mean": [0.5]}, "mean is no list of three"),
        ({"std": [0, 0, 0]}, "std is no list of three"),
        ({"resize_mode": "longest"}, "resize_mode is 'longest'"),
    ],
)
def test_normalizations_of_strangers_are_checked(folder, picture, said):
    (folder / "openclip--tiny.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": picture}))
    with pytest.raises(EncoderError, match=said):
        encoder(NAME)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 50_000, b"\xff"], ids=repr)
def test_a_configuration_that_is_no_json_is_refused(folder, data):
    (folder / "openclip--tiny.json").write_bytes(data)
    with pytest.raises(EncoderError, match="cannot be used"):
        encoder(NAME)


def test_sizes_that_the_file_does_not_have_take_no_memory(folder):
    """A model of a terabyte is described and compared with the file before anything is allocated."""
    model = put_random(folder)
    settings = json.loads(json.dumps(CONFIG)) | {"embed_dim": 65_536}
    settings["text_cfg"]["width"] = 1 << 20
    (folder / "openclip--tiny.json").write_text(json.dumps(settings))
    assert model is not None
    with pytest.raises(WeightsError, match="has shape"):
        encoder(NAME).text_module()


@pytest.mark.parametrize(
    "name",
    [
        "openclip:",
        "openclip:../x",
        "openclip:a/b",
        "openclip:a.b.c",
        "openclip:hf-hub:a",
        "openclip:ViT-B-33",
        "openclip:convnext_base",
    ],
)
def test_names_that_are_no_models_are_refused(folder, name):
    with pytest.raises(EncoderError) as caught:
        encoder(name)
    assert "--encoder openclip:" in caught.value.remedy


def test_another_configuration_or_other_weights_are_another_digest(folder):
    put_random(folder)
    digests = {encoder(NAME).digest()}
    put_random(folder, seed=1)
    digests.add(encoder(NAME).digest())
    settings = {"model_cfg": CONFIG | {"quick_gelu": True}, "preprocess_cfg": PICTURE}
    (folder / "openclip--tiny.json").write_text(json.dumps(settings))
    digests.add(encoder(NAME).digest())
    assert len(digests) == 3


def test_without_the_extra_the_error_names_it(folder, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "open_clip" else find(name))
    put_random(folder)
    for use in (lambda: encoder("openclip:ViT-B-32"), encoder(NAME).backbone.module, encoder(NAME).text_module):
        with pytest.raises(MissingPartError, match="open-clip-torch") as caught:
            use()
        assert caught.value.remedy == "pip install 'photogenic[text]'"
    assert {one.name for one in encoders()} >= set(OPENCLIP)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_gives_nearly_the_same_vectors(folder):
    put(folder, VIT)
    entry = encoder(NAME)
    pictures = [np.asarray(drawn(kind, 0, SIZE)) for kind in range(6)]
    on_cpu, on_gpu = (Embedder([entry], choose(name))(pictures)[NAME] for name in ("cpu", "cuda"))
    assert ((on_cpu * on_gpu).sum(1) > 0.999).all()
    tokens = entry.text.tokens("a red circle").ids
    words_on_cpu, words_on_gpu = (Tower(entry, choose(name))(tokens) for name in ("cpu", "cuda"))
    assert float(words_on_cpu @ words_on_gpu) > 0.999
