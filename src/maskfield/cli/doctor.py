"""``maskfield doctor``."""

from __future__ import annotations

from typing import Annotated

import tyro


def doctor(
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """What this machine has: torch, device, threads, optional parts, data and cache folders.

    Exit status 1 when something would keep maskfield from running.

    Args:
        json: print JSON instead of a table, for bug reports and scripts.
    """
    from maskfield import api

    report = api.doctor()
    print(report.to_json() if json else report.to_text())
    return 0 if report.healthy else 1
