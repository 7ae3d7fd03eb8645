"""The evaluation protocol: what is rendered, written, skipped and averaged."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import ConfigError, DataError
from maskfield.data.scene import Scene
from maskfield.geometry.camera_paths import pinholes, spherical
from maskfield.geometry.cameras import Cameras
from maskfield.methods.pixelnerf.config import (
    MLPConfig,
    PixelNeRFConfig,
    SamplingConfig,
    SmallEncoderConfig,
)
from maskfield.methods.pixelnerf.evaluation import approximate, evaluate_objects
from maskfield.methods.pixelnerf.evaluation_config import ProtocolConfig
from maskfield.methods.pixelnerf.evaluation_views import (
    DrawView,
    evaluation_sampling,
    pixelnerf_views,
    source_views,
    true_view,
    weights_identity,
)
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.model.views import SourceViews
from maskfield.methods.pixelnerf.scores import Evaluation, ObjectScore, read_scores
from maskfield.rendering.renderer import ImageOutput

VIEWS, SIDE = 5, 16
CONFIG = ProtocolConfig(sources=(1, 3))


def an_object(seed: int) -> Scene:
    angle = torch.linspace(0, 300, VIEWS)
    poses = spherical(angle, torch.full_like(angle, 20.0), torch.full_like(angle, 1.3))
    images = np.random.default_rng(seed).integers(0, 255, (VIEWS, SIDE, SIDE, 3), np.uint8)
    return Scene(
        cameras=pinholes(poses, SIDE, SIDE, 50),
        images=images,
        names=tuple(map(str, range(VIEWS))),
        box=torch.tensor([[-0.5] * 3, [0.5] * 3]),
        split={},
        near=0.8,
        far=1.8,
    )


@dataclass(frozen=True)
class Objects:
    names: tuple[str, ...] = ("a", "b", "c")
    categories: tuple[str, ...] = ("01", "02", "02")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Scene:
        return an_object(index)


class Grey:
    """Draws every view in one grey, and remembers what it was asked."""

    def __init__(self, value: float = 0.3) -> None:
        self.value, self.encoded, self.drawn = value, 0, 0

    def __call__(self, views: SourceViews) -> DrawView:
        self.encoded += 1
        assert views.images.shape[0] == len(views.poses) == len(views.intrinsics)

        def draw(
            camera: Cameras, near: float, far: float, generator: torch.Generator | None
        ) -> ImageOutput:
            self.drawn += 1
            size = (camera.height, camera.width)
            middle = torch.full(size, (near + far) / 2)
            return ImageOutput(
                colour=torch.full((*size, 3), self.value),
                depth=middle,
                distance=middle,
                opacity=torch.ones(size),
            )

        return draw


def tiny_network() -> PixelNeRF:
    torch.manual_seed(0)
    mlp = MLPConfig(blocks=2, hidden=16, combine_layer=1)
    return PixelNeRFConfig(
        encoder=SmallEncoderConfig(widths=(8, 16)),
        mlp=mlp,
        mlp_fine=mlp,
        sampling=SamplingConfig(coarse=4, fine=4, fine_depth=2),
    ).build()


def written(folder: Path, suffix: str = "png") -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob(f"*.{suffix}")}


def psnr_of_grey(seed: int, views: tuple[int, ...], value: float = 0.3) -> float:
    truth = an_object(seed).images[list(views)] / 255.0
    return float(np.mean(-10 * np.log10(((truth - value) ** 2).mean(axis=(1, 2, 3)))))


def test_all_other_views_are_rendered_and_averaged_by_object(tmp_path: Path):
    grey = Grey()
    found = evaluate_objects(grey, Objects(), CONFIG, tmp_path)
    assert written(tmp_path) == {f"{n}/{v:06d}.png" for n in "abc" for v in (0, 2, 4)}
    assert (grey.encoded, grey.drawn) == (3, 9)
    wanted = [psnr_of_grey(i, (0, 2, 4)) for i in range(3)]
    assert [s.psnr for s in found.scores] == pytest.approx(wanted, abs=1e-4)
    assert found.psnr == pytest.approx(np.mean(wanted), abs=1e-4)
    assert found.by_category()["02"].psnr == pytest.approx(np.mean(wanted[1:]), abs=1e-4)


def test_colours_are_truncated_as_officially(tmp_path: Path):
    evaluate_objects(Grey(0.9999), Objects(), CONFIG, tmp_path)
    assert np.asarray(Image.open(tmp_path / "b" / "000002.png")).max() == 254


def test_lists_of_sources_and_targets(tmp_path: Path):
    (tmp_path / "sources.txt").write_text("01 a 0\n02 b 4\n02 c 2 3\n")
    (tmp_path / "targets.txt").write_text("0 2 3\n")
    config = ProtocolConfig(
        source_list=str(tmp_path / "sources.txt"),
        target_list=str(tmp_path / "targets.txt"),
        categories=True,
    )
    evaluate_objects(Grey(), Objects(), config, tmp_path / "out")
    pairs = {"01_a": (2, 3), "02_b": (0, 2, 3), "02_c": (0,)}
    assert written(tmp_path / "out") == {f"{n}/{v:06d}.png" for n, vs in pairs.items() for v in vs}
    with_sources = replace(config, include_sources=True)
    evaluate_objects(Grey(), Objects(), with_sources, tmp_path / "more")
    assert len(written(tmp_path / "more")) == 9


def test_an_interrupted_run_goes_on(tmp_path: Path):
    whole = evaluate_objects(Grey(), Objects(), CONFIG, tmp_path / "whole")
    out = tmp_path / "out"
    evaluate_objects(Grey(), Objects(("a",), ("01",)), CONFIG, out)
    with (out / "finish.txt").open("a") as stream:
        stream.write("b 17.3 0.")  # power went off
    grey = Grey()
    resumed = evaluate_objects(grey, Objects(), CONFIG, out)
    assert grey.encoded == 2
    assert resumed.psnr == pytest.approx(whole.psnr, rel=1e-6)
    assert resumed.by_category().keys() == {"01", "02"}
    lines = (out / "finish.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert all(line.endswith(" 1") for line in lines)


def test_results_of_other_options_or_networks_are_not_mixed(tmp_path: Path):
    evaluate_objects(Grey(), Objects(), CONFIG, tmp_path, identity="one")
    with pytest.raises(ConfigError, match=r"scale[\s\S]*1\.0, 0\.5"):
        evaluate_objects(Grey(), Objects(), replace(CONFIG, scale=0.5), tmp_path, identity="one")
    with pytest.raises(ConfigError, match="network"):
        evaluate_objects(Grey(), Objects(), CONFIG, tmp_path, identity="two")


def test_scale_depth_and_comparison(tmp_path: Path):
    config = replace(CONFIG, scale=0.5, write_depth=True, write_compare=True)
    evaluate_objects(Grey(), Objects(("a",), ("",)), config, tmp_path)
    assert Image.open(tmp_path / "a" / "000000.png").size == (8, 8)
    compare = np.asarray(Image.open(tmp_path / "a" / "000000_compare.png"))
    truth = true_view(an_object(0), 0, (8, 8)).numpy()
    np.testing.assert_allclose(compare[:, 8:] / 255, truth, atol=0.51 / 255)
    np.testing.assert_allclose(np.load(tmp_path / "a" / "000002_depth.npy"), 1.3)
    norm = np.asarray(Image.open(tmp_path / "a" / "000002_depth_norm.png"))
    assert (norm == 127).all()


def test_without_comparison_there_are_no_figures(tmp_path: Path):
    found = evaluate_objects(Grey(), Objects(), replace(CONFIG, compare=False), tmp_path)
    assert math.isnan(found.psnr)
    assert math.isnan(read_scores(tmp_path / "finish.txt")["a"].psnr)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ProtocolConfig(sources=(64,)), "views 0 to 4"),
        (ProtocolConfig(sources=(0, 1, 2, 3, 4)), "no view is left"),
    ],
)
def test_views_that_are_not_there(tmp_path: Path, config: ProtocolConfig, words: str):
    with pytest.raises(DataError, match=words):
        evaluate_objects(Grey(), Objects(), config, tmp_path)


def test_an_object_missing_in_the_list_is_named_before_anything_is_drawn(tmp_path: Path):
    (tmp_path / "sources.txt").write_text("01 a 0\n02 b 4\n")
    config = ProtocolConfig(source_list=str(tmp_path / "sources.txt"))
    grey = Grey()
    with pytest.raises(DataError, match=r"'02', 'c'"):
        evaluate_objects(grey, Objects(), config, tmp_path / "out")
    assert grey.encoded == 0


def test_objects_of_one_name_need_their_categories(tmp_path: Path):
    twins = Objects(("a", "a"), ("01", "02"))
    with pytest.raises(ConfigError, match="same name"):
        evaluate_objects(Grey(), twins, CONFIG, tmp_path)
    evaluate_objects(Grey(), twins, replace(CONFIG, categories=True), tmp_path)
    assert (tmp_path / "02_a").is_dir()


@pytest.mark.parametrize("wrong", [(), (3, 1), (2, 2), (-1,)])
def test_sources_must_ascend(wrong: tuple[int, ...]):
    with pytest.raises(ConfigError, match="ascending"):
        ProtocolConfig(sources=wrong)


def test_a_damaged_score_is_named(tmp_path: Path):
    (tmp_path / "finish.txt").write_text("a twenty 0.5 1\n")
    with pytest.raises(DataError, match="twenty"):
        read_scores(tmp_path / "finish.txt")


def test_approximate_takes_one_other_view_of_each_object():
    grey = Grey()
    found = approximate(grey, Objects(), (0, 1, 2, 3))
    assert grey.drawn == 3
    assert found.scores[1].psnr == pytest.approx(psnr_of_grey(1, (4,)), abs=1e-4)
    again = approximate(grey, Objects(), None, seed=5)
    assert again.scores == approximate(grey, Objects(), None, seed=5).scores
    assert len(approximate(grey, Objects(), (0,), most=2).scores) == 2


def test_summary_names_categories_where_there_are_several():
    scores = [ObjectScore(name=n, psnr=p, ssim=0.5, category=c) for n, p, c in
              (("a", 20.0, "x"), ("b", 30.0, "y"), ("c", 40.0, "y"))]  # fmt: skip
    summary = Evaluation(tuple(scores)).summary()
    assert summary["psnr"] == 30.0
    assert (summary["psnr_x"], summary["psnr_y"]) == (20.0, 35.0)
    assert "psnr_x" not in Evaluation(tuple(scores[:1])).summary()


def test_evaluation_takes_enough_samples():
    config = replace(tiny_network().config, sampling=SamplingConfig(schedule=((10, 80, 40),)))
    sampling = evaluation_sampling(config).sampling
    assert (sampling.coarse, sampling.fine, sampling.schedule) == (80, 40, ())
    assert evaluation_sampling(tiny_network().config).sampling.coarse == 64
    once = evaluation_sampling(config, coarse_only=True).sampling
    assert (once.coarse, once.fine) == (64, 128)


@pytest.mark.parametrize("coarse_only", [False, True])
def test_a_network_is_evaluated_repeatably(tmp_path: Path, coarse_only: bool):
    model = tiny_network()
    model.train()
    prepare: Callable[[SourceViews], DrawView] = pixelnerf_views(model, coarse_only=coarse_only)
    objects, config = Objects(("a",), ("",)), replace(CONFIG, coarse_only=coarse_only)
    first = evaluate_objects(prepare, objects, config, tmp_path / "1")
    again = evaluate_objects(prepare, objects, config, tmp_path / "2")
    assert not model.training
    assert first == again
    assert 3 < first.psnr < 20


def test_a_seed_jitters_and_repeats():
    draw = pixelnerf_views(tiny_network())(source_views(an_object(0), (1,)))
    camera = an_object(0).cameras[2]

    def image(seed: int | None) -> torch.Tensor:
        made = None if seed is None else torch.Generator().manual_seed(seed)
        return draw(camera, 0.8, 1.8, made).colour

    torch.testing.assert_close(image(1), image(1))
    assert not torch.equal(image(1), image(2))
    assert not torch.equal(image(1), image(None))


def test_weights_have_a_name():
    model = tiny_network()
    name = weights_identity(model)
    assert name == weights_identity(tiny_network())
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    assert name != weights_identity(model)
