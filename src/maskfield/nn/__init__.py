"""maskfield.nn"""
