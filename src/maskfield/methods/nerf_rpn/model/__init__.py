"""maskfield.methods.nerf_rpn.model"""
