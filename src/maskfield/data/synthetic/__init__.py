"""maskfield.data.synthetic"""
