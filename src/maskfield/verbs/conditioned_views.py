"""An image-conditioned model as a field that a camera is sought in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.verbs.conditioned import encoded_views, load_conditioned
from maskfield.verbs.conditions import Conditions, open_conditions
from maskfield.verbs.field_views import GivenField

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from maskfield.data.scene import Scene
    from maskfield.methods.inerf.view import FieldView
    from maskfield.methods.pixelnerf.config import RenderOptions
    from maskfield.methods.pixelnerf.model.network import PixelNeRF
    from maskfield.methods.pixelnerf.model.views import EncodedViews

SKIP = 1e-3  # weight that a search through pixelNeRF neglects: a quarter of a grey level
_BAKED = 64  # voxels along the longest side of a bake: what a model guesses is soft


def open_conditioned(
    path: Path,
    conditions: Conditions,
    *,
    near: float | None = None,
    far: float | None = None,
    bake: bool = True,
    plain: bool = False,
) -> GivenField:
    """What a model makes of some views of an object.

    Args:
        near, far: of the object's rays, scene units; as in training unless given.
        bake: also make a voxel bake (some seconds), so that the search is quick.
        plain: nothing is done to save time.

    Raises:
        CheckpointError, ConfigError, DataError, SceneError: see ``verbs.conditioned``.
    """
    from maskfield.data.object_batches import near_far
    from maskfield.methods.pixelnerf.config import EXACT, PLAIN

    model = load_conditioned(path, "cpu")
    shown = open_conditions(model, conditions)
    planes = near_far(shown.scene)
    view = conditioned_view(
        model.network,
        encoded_views(model, shown),
        planes[0] if near is None else near,
        planes[1] if far is None else far,
        skip=0.0 if plain else SKIP,
        options=PLAIN if plain else EXACT,
    )
    name = f"{path.stem} of {shown.name}"
    given = GivenField(view=view, name=name, scene=shown.scene, sources=shown.views())
    return with_object_bake(given) if bake else given


def with_object_bake(given: GivenField) -> GivenField:
    """The same with a voxel bake of the object's box beside it."""
    from maskfield.fields.bake import BakeSettings, bake
    from maskfield.methods.inerf.view import field_view

    assert given.scene is not None
    settings = BakeSettings(longest=_BAKED, background=given.background or (0.0, 0.0, 0.0))
    return replace(given, rough=field_view(bake(given.view.field, given.scene.box, settings)))


def starts_about(scene: Scene, count: int, generator: Generator) -> Tensor:
    """[count, 3, 4] cameras round the object, as far away as the scene's own."""
    from maskfield.methods.inerf.search import starts_on_sphere

    middle = scene.box.mean(0).to(scene.cameras.centres)
    radius = float((scene.cameras.centres - middle).norm(dim=1).median())
    return starts_on_sphere(middle, radius, count, generator)


def conditioned_view(
    network: PixelNeRF,
    encoded: EncodedViews,
    near: float,
    far: float,
    *,
    skip: float = SKIP,
    options: RenderOptions | None = None,
) -> FieldView:
    """A pixelNeRF's object, encoded before, for a camera to be sought in; without noise.

    Args:
        encoded: of one object. near, far: distances along rays, scene units.
        skip: samples of the second pass where the first one saw less weight than this are left
            out; 0 leaves none out.
        options: precision, and whether feature layers are applied to the maps once (they are unless
            this says otherwise); what is for whole images alone plays no part.
    """
    from maskfield.methods.inerf.view import FieldView
    from maskfield.methods.pixelnerf.config import EXACT
    from maskfield.methods.pixelnerf.sampling import compositing_of, level_sampler
    from maskfield.rendering.levels import LevelSampler
    from maskfield.rendering.sparse import SparseSampler

    sampler = level_sampler(network.config, jitter=False)
    if skip > 0 and isinstance(sampler, LevelSampler):
        sampler = SparseSampler(sampler=sampler, least=skip)
    return FieldView(
        field=network.field(encoded, options=options or EXACT),
        sampler=sampler,
        compositing=compositing_of(network.config),
        near=near,
        far=far,
    )
