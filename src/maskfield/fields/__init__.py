"""maskfield.fields"""
