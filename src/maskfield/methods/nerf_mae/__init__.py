"""maskfield.methods.nerf_mae"""
