"""maskfield.cli"""
