"""maskfield.methods"""
