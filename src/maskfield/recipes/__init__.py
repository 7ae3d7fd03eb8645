"""maskfield.recipes"""
