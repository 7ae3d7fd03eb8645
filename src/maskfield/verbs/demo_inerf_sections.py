"""What the report of the iNeRF demo shows of the cameras that were found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.verbs.demo_inerf import Sought, errors, good, score

if TYPE_CHECKING:
    from maskfield.data.scene import Scene
    from maskfield.figures.report import Section
    from maskfield.verbs.field_views import GivenField

_FRAMES = 30  # of the film of a search


def search_film(given: GivenField, found: Sought, folder: Path) -> Path:
    """What the field shows on the way, over the photograph; the pose as JSON beside it."""
    from maskfield.data.pose_estimate import save_pose
    from maskfield.figures.video import best_suffix, write_video
    from maskfield.methods.inerf.pictures import search_frames

    trace = found.estimate.trace
    assert trace is not None  # every search leaves one
    save_pose(found.estimate, folder / "pose.json")
    frames = search_frames(given.view, found.observation, trace, _FRAMES)
    return write_video(frames, folder / f"search{best_suffix()}", fps=8)


def one_section(given: GivenField, found: Sought, film: Path) -> Section:
    """One photograph: what its search saw, and how its loss fell."""
    from maskfield.figures.curves import draw_curves
    from maskfield.figures.pictures import beside, table_of
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.inerf.pictures import TITLES, loss_panel, pose_row, search_frames

    trace, pose = found.estimate.trace, found.estimate.camera_to_world
    assert trace is not None
    row = pose_row(given.view, found.observation, trace, pose)
    way = list(search_frames(given.view, found.observation, trace, 5))[:5]
    degrees, units = errors(found)
    return Section(
        title="A photograph whose camera is unknown",
        text=[
            "The field is rendered from a wrong pose; differences to the photograph say which way "
            "to move the camera, first on a blurred picture, then on finer ones. The verdict is "
            f"{found.estimate.verdict}: {found.estimate.reason}. A film of the search is in "
            f"{film.parent.name}/{film.name}.",
        ],
        numbers={
            "rotation error": f"{degrees:.2f} degrees",
            "position error": f"{units:.3f} units",
            "seconds": f"{found.seconds:.1f}",
        },
        figures=[
            Figure(picture=table_of([row], titles=TITLES), caption="Before and after."),
            Figure(picture=beside(way), caption="On the way: the field over the photograph."),
            Figure(
                picture=draw_curves([loss_panel(trace)]),
                caption="The loss; it rises where the search turns to finer pictures.",
            ),
        ],
    )


def table_section(given: GivenField, found: Sequence[Sought], scene: Scene) -> Section:
    """Every photograph: from where it began, errors, verdict."""
    from maskfield.figures.report import Section

    head = ("photograph", "began", "rotation error", "position error", "verdict", "found")
    rows = [_row(f, scene) for f in found]
    numbers = score(found, scene)
    return Section(
        title="Other photographs, and no start pose at all",
        text=[
            "Starts are turned by up to 40 degrees (about the object; about the camera in "
            "your own photographs) and moved by up to 5 % of the scene's diagonal per axis. "
            "Without a start, poses spread around the scene's cameras "
            "are weighed first, and the best go on. Found: within 5 degrees and 3 % of the "
            "diagonal.",
        ],
        numbers={
            "found from a start": f"{100 * numbers['found_from_start']:.0f} %",
            "found from nothing": f"{100 * numbers['found_from_search']:.0f} %",
            "seconds each": f"{numbers['seconds_from_start']:.1f} / "
            f"{numbers['seconds_from_search']:.1f}",
        },
        table=[head, *rows],
    )


def _row(found: Sought, scene: Scene) -> tuple[str, ...]:
    degrees, units = errors(found)
    begun = "from a start" if found.begun == "start" else "from nothing"
    return (
        scene.names[found.index],
        begun,
        f"{degrees:.2f} degrees",
        f"{units:.3f}",
        found.estimate.verdict,
        "yes" if good(found, scene) else "no",
    )
