"""The networks of pixelNeRF."""
