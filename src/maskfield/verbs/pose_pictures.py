"""What `pose` leaves: poses as JSON, pictures, a film of the search, a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.data.pose_estimate import PoseEstimate
    from maskfield.figures.pictures import Picture
    from maskfield.figures.report import Section
    from maskfield.methods.inerf.observation import Observation
    from maskfield.verbs.field_views import GivenField

_FRAMES = 40  # of the film of a search
_SHOWN = 6  # photographs of a track in the report


def write_pose(
    given: GivenField,
    seen: Sequence[Observation],
    files: Sequence[Path],
    estimates: Sequence[PoseEstimate],
    folder: Path,
    *,
    film: bool,
) -> None:
    """``pose.json`` (of several photographs ``poses.json``), ``pose.png``, film, ``report.html``.

    Raises:
        StorageError: the folder cannot be written.
    """
    from maskfield.core.files import write_json
    from maskfield.data.pose_estimate import save_pose
    from maskfield.figures.pictures import save_picture
    from maskfield.figures.report import Report, write_report

    folder.mkdir(parents=True, exist_ok=True)
    if len(estimates) == 1:
        save_pose(estimates[0], folder / "pose.json")
    else:
        rows = {f.name: e.to_json() for f, e in zip(files, estimates, strict=True)}
        write_json(folder / "poses.json", rows)
    picture = comparison(given, seen, files, estimates)
    save_picture(picture, folder / "pose.png")
    if film:
        write_film(given, seen, estimates, folder)
    title = f"maskfield: where {files[0].name} was taken"
    sections = [pose_section(files, estimates, picture), *search_sections(estimates)]
    environment = {"field": given.name, "photograph": str(files[0])}
    write_report(
        Report(title=title, sections=sections, environment=environment), folder / "report.html"
    )


def comparison(
    given: GivenField,
    seen: Sequence[Observation],
    files: Sequence[Path],
    estimates: Sequence[PoseEstimate],
) -> Picture:
    """A row per photograph (of many, some): photograph, start, answer, difference."""
    from maskfield.figures.pictures import table_of
    from maskfield.methods.inerf.pictures import TITLES, pose_row

    step = max(1, len(files) // _SHOWN)
    chosen = range(0, len(files), step)
    rows = [
        pose_row(given.view, seen[i], estimates[i].trace, estimates[i].camera_to_world)
        for i in chosen
    ]
    labels = [files[i].stem for i in chosen] if len(files) > 1 else ()
    return table_of(rows, titles=TITLES, labels=labels)


def write_film(
    given: GivenField,
    seen: Sequence[Observation],
    estimates: Sequence[PoseEstimate],
    folder: Path,
) -> Path:
    """Of one photograph: the search. Of many: what the field shows from the poses found."""
    from maskfield.figures.video import best_suffix, write_video

    name = "search" if len(estimates) == 1 else "track"
    frames = _film_frames(given, seen, estimates)
    return write_video(frames, folder / f"{name}{best_suffix()}", fps=10)


def _film_frames(
    given: GivenField, seen: Sequence[Observation], estimates: Sequence[PoseEstimate]
) -> Iterator[Picture]:
    from maskfield.figures.pictures import beside
    from maskfield.methods.inerf.pictures import pose_row, search_frames

    first = estimates[0]
    if len(estimates) == 1 and first.trace is not None and len(first.trace) > 0:
        view = given.rough or given.view  # a bake is drawn in a moment
        yield from search_frames(view, seen[0], first.trace, _FRAMES)
        return
    view = given.rough or given.view
    for observation, estimate in zip(seen, estimates, strict=True):
        yield beside(pose_row(view, observation, None, estimate.camera_to_world)[:2])


def pose_section(
    files: Sequence[Path], estimates: Sequence[PoseEstimate], picture: Picture
) -> Section:
    """The answer in words, numbers and pictures."""
    from maskfield.figures.report import Figure, Section

    head = ("photograph", "verdict", "why", "centre", "deviation")
    rows = [(f.name, *answer_row(e)) for f, e in zip(files, estimates, strict=True)]
    caption = (
        "The photograph, what the field shows from the start pose and from the pose found, and "
        "how that differs from the photograph."
    )
    return Section(
        title="The camera",
        text=["Poses are camera-to-world with OpenCV axes, in the world of the field."],
        table=[head, *rows],
        figures=[Figure(picture=picture, caption=caption)],
    )


def answer_row(estimate: PoseEstimate) -> tuple[str, str, str, str]:
    """Verdict, reason, camera centre, standard deviation of centre and orientation."""
    x, y, z = estimate.camera_to_world[:, 3].tolist()
    angle, centre = estimate.angle_deviation, estimate.centre_deviation
    spread = "unknown" if angle is None else f"{centre:.2g} units, {angle:.2g} degrees"
    return estimate.verdict, estimate.reason, f"{x:.3f}, {y:.3f}, {z:.3f}", spread


def search_sections(estimates: Sequence[PoseEstimate]) -> list[Section]:
    """The search of a single photograph as a curve."""
    from maskfield.figures.curves import draw_curves
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.inerf.pictures import loss_panel

    trace = estimates[0].trace
    if len(estimates) > 1 or trace is None or len(trace) < 2:
        return []
    curve = draw_curves([loss_panel(trace)])
    caption = "The loss of the pose that won; it rises where finer pictures are compared."
    return [
        Section(
            title="The search",
            numbers={"steps": str(len(trace)), "seconds": f"{float(trace.seconds[-1]):.1f}"},
            figures=[Figure(picture=curve, caption=caption)],
        )
    ]
