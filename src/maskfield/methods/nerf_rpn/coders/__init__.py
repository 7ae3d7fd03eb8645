"""Box coders: boxes to regression targets and back."""
