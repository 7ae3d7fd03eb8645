"""L1: cameras, rays, rigid motions, boxes, grid frames, spherical harmonics. Pure functions."""
