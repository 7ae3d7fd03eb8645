"""maskfield.ops"""
