"""Progress lines and the logger."""

from __future__ import annotations

import io
import logging

import pytest

from maskfield.core.log import Progress, get_logger, memory_gb


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(total: int = 100, start: int = 0, label: str = "fit"):
    stream, clock = io.StringIO(), Clock()
    bar = Progress(total, label, start=start, mode="plain", stream=stream, clock=clock)
    return bar, stream, clock


def test_rate_and_time_left():
    bar, _, clock = plain()
    with bar:
        assert bar.rate == 0.0
        assert bar.eta_s is None
        clock.now += 4
        bar.update(8)
        assert bar.rate == pytest.approx(2.0)
        assert bar.eta_s == pytest.approx(46.0)


def test_a_resumed_run_does_not_count_old_steps():
    bar, _, clock = plain(start=50)
    with bar:
        clock.now += 5
        bar.update(60)
    assert bar.rate == pytest.approx(2.0)


def test_rate_forgets_a_slow_start():
    bar, _, clock = plain(total=1000)
    with bar:
        for step in range(1, 200):
            clock.now += 10 if step == 1 else 1
            bar.update(step)
    assert bar.rate == pytest.approx(1.0)


def test_plain_lines_come_at_intervals_and_at_the_end():
    bar, stream, clock = plain()
    with bar:
        for step in range(1, 26):
            clock.now += 1
            bar.update(step, {"loss": 0.123456, "stage": "coarse"})
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["10/100", "20/100", "25/100"]
    assert "1 steps/s  ETA 01:15" in lines[-1]
    assert "GB" in lines[-1]
    assert "loss 0.1235  stage coarse" in lines[-1]


def test_long_times_show_hours():
    bar, _, clock = plain(total=10000)
    with bar:
        clock.now += 1
        bar.update(1)
        assert "ETA 2:46:39" in bar.text()


def test_notes_are_lines():
    bar, stream, _ = plain()
    bar.note("saved")
    assert stream.getvalue() == "saved\n"


def test_off_writes_nothing(capsys):
    with Progress(3, "x", mode="off") as bar:
        bar.update(3)
        bar.note("nothing")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_rich_shows_the_same_line():
    stream = io.StringIO()
    with Progress(10, "fit", mode="rich", stream=stream) as bar:
        bar.update(10, {"psnr": 24.0})
        bar.note("half [way]")
    assert "fit 10/10" in stream.getvalue()
    assert "half [way]" in stream.getvalue()


def test_auto_is_plain_without_a_terminal():
    stream = io.StringIO()
    with Progress(1, "fit", stream=stream) as bar:
        bar.update(1)
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()


def test_logger_is_silent_until_given_a_handler(capsys):
    get_logger().warning("unheard")
    assert capsys.readouterr().err == ""
    assert get_logger() is logging.getLogger("maskfield")
    assert len([h for h in get_logger().handlers if isinstance(h, logging.NullHandler)]) == 1


def test_memory_is_plausible():
    assert 0.005 < memory_gb() < 100
