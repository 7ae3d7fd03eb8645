"""One adapter per golden kind; a module per system and subject, all imported by the runner."""

import importlib
import pkgutil


def load_all() -> None:
    """Import every adapter module, which registers its kinds."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
