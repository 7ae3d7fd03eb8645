"""The report is one file that works offline and shows what it was given."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from maskfield.core.errors import DataError, StorageError
from maskfield.figures.report import Figure, Report, Section, duration, render_report, write_report


def checker(height: int = 20, width: int = 30) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[::2, ::2] = (200, 30, 90)
    return picture


def report(**changes) -> Report:
    section = Section(
        title="Fit",
        text=["A room <script>alert(1)</script> & more."],
        numbers={"held-out PSNR": "27.1 dB"},
        table=[("split", "PSNR"), ("test", "27.1")],
        figures=[Figure(picture=checker(), caption="photographs")],
    )
    values = {
        "title": "Demo",
        "sections": [section],
        "stages": {"render": 3.0, "fit": 9.0},
        "environment": {"torch": "2.13"},
        "config": "engine:\n  steps: 5",
    }
    return Report(**{**values, **changes})


def test_smoke_everything_is_on_the_page():
    html = render_report(report())
    for text in ("Demo", "Fit", "27.1 dB", "held-out PSNR", "photographs", "12.0 s", "steps: 5"):
        assert text in html


def test_pictures_are_embedded_exactly():
    uri = re.search(r'src="data:image/png;base64,([^"]+)"', render_report(report()))
    assert uri is not None
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri[1]))))
    np.testing.assert_array_equal(decoded, checker())


def test_noise_is_embedded_as_jpeg_because_png_would_be_large(rng):
    noise = rng.integers(0, 256, (400, 400, 3), dtype=np.uint8)
    section = Section(title="Noise", figures=[Figure(picture=noise, caption="noise")])
    assert "data:image/jpeg;base64," in render_report(report(sections=[section]))


def test_no_address_outside_the_file():
    html = render_report(report())
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "http" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_text_is_escaped():
    html = render_report(report())
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_bars_show_the_share_of_each_stage():
    assert re.findall(r"style=\"width: ([\d.]+)%", render_report(report())) == ["25.0", "75.0"]


def test_a_report_of_almost_nothing():
    html = render_report(Report(title="Empty"))
    assert "Time per stage" not in html
    assert "How to repeat it" not in html


def test_written_atomically_and_from_picture_files(tmp_path):
    Image.fromarray(checker()).save(tmp_path / "a.png")
    section = Section(title="File", figures=[Figure(picture=tmp_path / "a.png", caption="a")])
    path = write_report(report(sections=[section]), tmp_path / "out" / "report.html")
    assert "data:image/png" in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_missing_picture_is_named_and_nothing_is_written(tmp_path):
    section = Section(title="x", figures=[Figure(picture=tmp_path / "gone.png", caption="x")])
    with pytest.raises(DataError, match=r"gone\.png"):
        write_report(report(sections=[section]), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"report\.html"):
        write_report(report(), tmp_path / "file" / "report.html")


@pytest.mark.parametrize(("seconds", "text"), [(7.34, "7.3 s"), (125.9, "2 min 05 s")])
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.fixture
def rng():
    return np.random.default_rng(0)
