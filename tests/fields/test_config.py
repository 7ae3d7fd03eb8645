from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from maskfield.core.config import from_dict, to_dict
from maskfield.core.errors import ConfigError
from maskfield.engine.config import RunConfig
from maskfield.fields.config import PRESETS, VoxelFitConfig


class TestVoxelFitConfig:
    @pytest.mark.parametrize("name", sorted(PRESETS))
    def test_presets_survive_yaml(self, name):
        run = RunConfig(method=PRESETS[name]())
        assert from_dict(RunConfig, to_dict(run)) == run

    def test_stages_follow_the_shares(self):
        config = replace(
            VoxelFitConfig(),
            resolutions=(8, 16),
            rays=(1, 2),
            shares=(0.3, 0.7),
            patches=(1, 1),
        )
        assert [config.stage(s, 10) for s in range(10)] == [0] * 3 + [1] * 7

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("shares", (0.5, 0.5, 0.5)),
            ("rays", (1,)),
            ("patches", (1, 1)),
            ("degree", 3),
            ("lr_density", 0.0),
            ("stop", 1.0),
            ("beta", 1.0),
            ("occupancy_every", 0),
            ("refit_tail", 0.5),
        ],
    )
    def test_refuses(self, field, value):
        with pytest.raises(ConfigError, match=field):
            replace(VoxelFitConfig(), **{field: value})

    def test_needs_no_torch(self):
        code = "import sys, maskfield.fields.config; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
