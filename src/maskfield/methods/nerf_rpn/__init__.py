"""maskfield.methods.nerf_rpn"""
