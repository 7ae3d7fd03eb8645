"""maskfield.figures"""
