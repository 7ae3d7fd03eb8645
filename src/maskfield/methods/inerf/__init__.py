"""iNeRF: where was this photograph taken? Any radiance field, inverted by gradient descent."""
