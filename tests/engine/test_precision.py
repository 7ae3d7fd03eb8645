"""In which numbers the forward pass is computed."""

from __future__ import annotations

import pytest
import torch

from maskfield.engine import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_named_precision(name: precision.Precision, expected: torch.dtype) -> None:
    with precision.autocast(CPU, name):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


@pytest.mark.parametrize("able", [True, False])
def test_auto_is_bf16_only_where_the_device_has_it(
    able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able}, raising=False)
    assert precision.has_bf16(CPU) == able
    with precision.autocast(CPU, "auto"):
        found = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    assert found == (torch.bfloat16 if able else torch.float32)
