"""LPIPS: its files are checked, its keys are torchvision's and the authors', it ranks images."""

from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import CheckpointError, DataError
from maskfield.metrics.lpips import LPIPS, load_lpips, lpips_from_weights


@pytest.fixture(scope="module")
def model() -> LPIPS:
    generator = torch.Generator().manual_seed(0)
    built = LPIPS()
    for parameter in built.parameters():
        fan_in = parameter[0].numel()
        drawn = torch.randn(parameter.shape, generator=generator) * (2 / max(fan_in, 1)) ** 0.5
        parameter.copy_(drawn if parameter.ndim == 4 else 0 * drawn)
    for index in range(5):
        built.get_parameter(f"lin{index}.model.1.weight").abs_()
    return built


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_equal_images_are_at_no_distance_and_noise_adds_up(model, images):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    assert torch.equal(model(images, images), torch.zeros(2))
    near, far = model(images + 0.05 * noise, images), model(images + 0.4 * noise, images)
    assert bool((near > 0).all() and (near < far).all())
    layers = model.per_layer(images, images.flip(-1))
    assert layers.shape == (5, 2)
    torch.testing.assert_close(layers.sum(0), model(images, images.flip(-1)))


def test_files_of_the_authors_and_torchvision_load(model, images, tmp_path):
    state = model.state_dict()
    trunk = {k: v for k, v in state.items() if k.startswith("features.")}
    heads = {k: v for k, v in state.items() if k.startswith("lin")}
    torch.save({**trunk, "classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16.pth")
    torch.save(heads, tmp_path / "vgg.pth")
    loaded = load_lpips(tmp_path / "vgg16.pth", tmp_path / "vgg.pth")
    assert torch.equal(loaded(images, images.flip(-1)), model(images, images.flip(-1)))
    with pytest.raises(CheckpointError, match=r"lin0\.model\.1\.weight"):
        load_lpips(tmp_path / "vgg16.pth", tmp_path / "vgg16.pth")
    with pytest.raises(CheckpointError, match=r"vgg16-397923af\.pth"):
        load_lpips(tmp_path / "absent.pth", tmp_path / "vgg.pth")


def test_foreign_tensors_are_refused(model):
    state = model.state_dict()
    with pytest.raises(CheckpointError, match="not the weights of LPIPS"):
        lpips_from_weights({**state, "extra": torch.zeros(1)})


def test_sizes_are_checked(model, images):
    with pytest.raises(DataError, match="at least 16"):
        model(images[..., :8], images[..., :8])
    with pytest.raises(DataError, match="two batches"):
        model(images, images[:1])


@pytest.mark.shared
def test_published_heads_are_read(model, shared, tmp_path):
    trunk = {k: v for k, v in model.state_dict().items() if k.startswith("features.")}
    torch.save(trunk, tmp_path / "vgg16.pth")
    loaded = load_lpips(tmp_path / "vgg16.pth", shared / "data/weights/lpips_v0.1/vgg.pth")
    heads = [loaded.get_parameter(f"lin{i}.model.1.weight") for i in range(5)]
    assert all(float(h.min()) >= 0 and float(h.max()) > 0 for h in heads)
