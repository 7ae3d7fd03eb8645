"""What the report of the pixelNeRF demo shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskfield.figures.report import Section
    from maskfield.methods.pixelnerf.model.network import PixelNeRF
    from maskfield.methods.pixelnerf.validation import HeldOutView
    from maskfield.verbs.demo_pixelnerf import Turn

Views = Mapping[int, Sequence["HeldOutView"]]
_ACROSS = 6  # frames of a turn-table side by side


def turn_section(turns: Sequence[Turn], photo: str | None) -> Section:
    """The photographs that went in, and views from all around."""
    from maskfield.figures.pictures import table_of
    from maskfield.figures.report import Figure, Section

    figures = []
    for turn in turns:
        step = max(1, len(turn.frames) // _ACROSS)
        row = [*turn.sources, *turn.frames[::step][:_ACROSS]]
        titles = ["given"] * len(turn.sources) + ["rendered"] * (len(row) - len(turn.sources))
        given = "one photograph" if len(turn.sources) == 1 else f"{len(turn.sources)} photographs"
        figures.append(
            Figure(
                picture=table_of([row], titles=titles),
                caption=f"From {given}; the film is {turn.film.parent.name}/{turn.film.name}.",
            )
        )
    origin = "an object it has never seen" if photo is None else f"{photo}, as it is"
    return Section(
        title="A turn-table from a photograph",
        text=[
            f"The network is shown {origin}, and rendered from all around. What no photograph "
            "shows it must guess from what it was trained on: the far side comes out blurred.",
        ],
        figures=figures,
    )


def views_section(network: PixelNeRF, rows: Views) -> Section:
    """Held-out views beside the truth, with their PSNR and that of answers without a network."""
    from maskfield.figures.pictures import table_of
    from maskfield.figures.report import Figure, Section
    from maskfield.methods.pixelnerf.pictures import TITLES, view_row

    found = numbers(network, rows)
    head = ("photographs given", "network", "the nearest photograph", "mean of all images")
    table = [
        (
            str(n),
            f"{found[f'psnr_{n}']:.2f} dB",
            f"{found[f'psnr_{n}_nearest_source']:.2f} dB",
            f"{found[f'psnr_{n}_mean_image']:.2f} dB",
        )
        for n in rows
    ]
    return Section(
        title="Views that were held out",
        text=["One view of each object, rendered from others; the mean is over these few objects."],
        table=[head, *table],
        figures=[
            Figure(
                picture=table_of([view_row(network, v) for v in rows[n][:4]], titles=TITLES),
                caption=f"Rendered from {n} photograph{'s' if n > 1 else ''} (the first is shown).",
            )
            for n in rows
        ],
    )


def numbers(network: PixelNeRF, rows: Views) -> dict[str, float]:
    """Means of the scores, by number of source views."""
    from maskfield.methods.pixelnerf.predict import score_views

    return score_views(network, [(n, view) for n, views in rows.items() for view in views])
