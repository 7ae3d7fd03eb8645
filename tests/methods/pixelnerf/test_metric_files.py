"""Figures from written pictures: values, files, options, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.core.errors import ConfigError, DataError
from maskfield.methods.pixelnerf.metric_config import MetricConfig
from maskfield.methods.pixelnerf.metric_files import (
    category_names,
    measure_pictures,
    read_figures,
)
from maskfield.metrics.image import psnr, ssim

SIZE, VIEWS = (12, 16), 4


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def noisy(image: np.ndarray, amount: int) -> np.ndarray:
    return np.clip(image.astype(int) + amount, 0, 255).astype(np.uint8)


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Rendered pictures and true views of a chair and two cars, by category."""
    truth, out = tmp_path / "NMR", tmp_path / "out"
    amounts = {("02", "a"): 10, ("02", "b"): 20, ("03", "c"): 40}
    for (category, name), amount in amounts.items():
        for view in range(VIEWS):
            image = picture(view)
            save(image, truth / category / name / "image" / f"{view:04d}.png")
            save(noisy(image, amount), out / f"{category}_{name}" / f"{view:06d}.png")
        with (truth / category / "softras_test.lst").open("a") as stream:
            stream.write(f"{name}\n")
    names = {"02": {"name": "car,auto"}, "03": {"name": "chair"}}
    (truth / "metadata.yaml").write_text(json.dumps(names))
    return out, truth


def config(truth: Path, **options) -> MetricConfig:
    return MetricConfig(categories=True, metadata=str(truth / "metadata.yaml"), **options)


def expected(views: list[int], amount: int) -> tuple[float, float]:
    pairs = [
        [torch.from_numpy(x).float() / 255 for x in (noisy(picture(v), amount), picture(v))]
        for v in views
    ]
    return (
        float(np.mean([float(psnr(a, b)) for a, b in pairs])),
        float(np.mean([float(ssim(a, b, window="uniform")) for a, b in pairs])),
    )


def test_means_over_views_objects_and_categories(folders):
    out, truth = folders
    asked = []

    def halves(a, b):
        asked.append((tuple(a.shape), float(a.min()) >= -1, float(b.max()) <= 1))
        return a.new_full((len(a),), 0.5)

    found = measure_pictures(out, truth, config(truth, batch_size=3), perceptual=halves)
    assert [(f.name, f.category) for f in found] == [
        ("02_a", "car"),
        ("02_b", "car"),
        ("03_c", "chair"),
    ]
    for one, amount in zip(found, (10, 20, 40), strict=True):
        assert (one.values["psnr"], one.values["ssim"]) == pytest.approx(
            expected([0, 1, 2, 3], amount)
        )
        assert one.values["lpips"] == 0.5
    assert {shape for shape, *_ in asked} == {(3, 3, *SIZE), (1, 3, *SIZE)}
    assert all(low and high for _, low, high in asked)
    lines = (out / "all_metrics.txt").read_text().splitlines()
    cars = np.mean([f.values["psnr"] for f in found[:2]])
    assert lines[0].startswith(f"car          psnr: {cars:.6f} ssim: ")
    assert lines[0].endswith(" lpips: 0.500000 n_inst: 2")
    assert [line.split()[0] for line in lines] == ["car", "chair", "---", "total"]
    total = np.mean([f.values["psnr"] for f in found])
    assert lines[3].startswith(f"total        psnr: {total:.6f} ")


def test_views_may_be_left_out_or_listed(folders, tmp_path):
    out, truth = folders
    (tmp_path / "sources.txt").write_text("02 a 0\n02 b 1\n03 c 2 3\n")
    (tmp_path / "views.txt").write_text("0 1 2\n")
    lists = {"source_list": str(tmp_path / "sources.txt")}
    found = measure_pictures(out, truth, config(truth, **lists))
    views = ([1, 2, 3], [0, 2, 3], [0, 1])
    for one, chosen, amount in zip(found, views, (10, 20, 40), strict=True):
        assert one.values["psnr"] == pytest.approx(expected(chosen, amount)[0])
        assert "lpips" not in one.values
    lists = {"target_list": str(tmp_path / "views.txt"), "exclude": (1,)}
    found = measure_pictures(out, truth, config(truth, overwrite=True, **lists))
    assert found[0].values["psnr"] == pytest.approx(expected([0, 2], 10)[0])
    with pytest.raises(DataError, match="no view is left"):
        measure_pictures(out, truth, config(truth, overwrite=True, exclude=(0, 1, 2, 3)))


def test_measured_objects_are_kept_unless_asked_for(folders):
    out, truth = folders
    first = measure_pictures(out, truth, config(truth))
    save(picture(9), out / "02_a" / "000000.png")
    assert measure_pictures(out, truth, config(truth)) == first
    again = measure_pictures(out, truth, config(truth, overwrite=True))
    assert again[0] != first[0]
    assert again[1:] == first[1:]
    (out / "02_a" / "metrics.txt").unlink()
    with pytest.raises(DataError, match="without reduce_only"):
        measure_pictures(out, truth, config(truth, reduce_only=True))


def test_other_layouts(tmp_path):
    for name in ("scan10", "scan9", "_notes"):
        save(picture(1), tmp_path / "out" / name / "000000.png")
    for name in ("scan10", "scan9"):
        save(picture(1), tmp_path / "srn" / name / "rgb" / "000000.png")
        save(picture(1), tmp_path / "DTU" / name / "image" / "000000.png")
    (tmp_path / "DTU" / "new_val.lst").write_text("scan9\nscan10\n")
    srn = measure_pictures(tmp_path / "out", tmp_path / "srn", MetricConfig(layout="srn"))
    assert [f.name for f in srn] == ["scan10", "scan9"]
    assert (tmp_path / "out" / "all_metrics.txt").read_text().startswith("---\ntotal ")
    options = MetricConfig(list_name="new_val", dtu_sort=True, overwrite=True)
    dtu = measure_pictures(tmp_path / "out", tmp_path / "DTU", options)
    assert [f.name for f in dtu] == ["scan9", "scan10"]
    assert dtu[0].values["psnr"] == float("inf")


def test_transparent_truth_is_over_white(tmp_path):
    opacity = np.full((*SIZE, 1), 51, np.uint8)
    scene = tmp_path / "two" / "test" / "pair"
    save(np.concatenate([picture(1), opacity], axis=2), scene / "view_000_obj.png")
    (scene / "transforms.json").write_text("{}")
    white = picture(1) * 0.2 + 255 * 0.8
    save(np.round(white).astype(np.uint8), tmp_path / "out" / "pair" / "000000.png")
    [found] = measure_pictures(tmp_path / "out", tmp_path / "two", MetricConfig(layout="nerf"))
    assert found.values["psnr"] > 50


def test_what_is_missing_is_named(folders, tmp_path):
    out, truth = folders
    save(picture(0), out / "09_x" / "000000.png")
    with pytest.raises(DataError, match="09_x"):
        measure_pictures(out, truth, config(truth))
    (out / "09_x").rename(out / "_09_x")
    (out / "02_a" / "000002.png").unlink()
    with pytest.raises(DataError, match=r"000002\.png"):
        measure_pictures(out, truth, config(truth))
    save(picture(0)[:-1], out / "02_a" / "000002.png")
    with pytest.raises(DataError, match="another size"):
        measure_pictures(out, truth, config(truth))
    with pytest.raises(DataError, match="no rendered objects"):
        measure_pictures(tmp_path / "empty", truth, config(truth))
    with pytest.raises(DataError, match="no list"):
        measure_pictures(out, truth, config(truth, list_name="gen_test"))
    with pytest.raises(ConfigError, match="not a DTU scan"):
        measure_pictures(out, truth, config(truth, dtu_sort=True))


def test_options_and_files_are_checked(tmp_path):
    with pytest.raises(ConfigError, match="choose one"):
        MetricConfig(overwrite=True, reduce_only=True)
    with pytest.raises(ConfigError, match="batch_size"):
        MetricConfig(batch_size=0)
    (tmp_path / "metrics.txt").write_text("psnr high")
    with pytest.raises(DataError, match="figures of an object"):
        read_figures(tmp_path / "metrics.txt")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(DataError, match="categories"):
        category_names(str(tmp_path / "list.json"))
