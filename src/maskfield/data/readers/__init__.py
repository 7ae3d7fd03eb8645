"""maskfield.data.readers"""
