"""Procedural indoor worlds: rooms, photographs of them and voxel grids of them, all from a seed."""
