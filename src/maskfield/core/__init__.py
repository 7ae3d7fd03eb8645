"""L0: config, errors, logging, run folders, registry. Imports neither torch nor numba."""
