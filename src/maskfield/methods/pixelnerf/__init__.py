"""pixelNeRF: a radiance field from one or a few photographs (spec pixelnerf)."""
