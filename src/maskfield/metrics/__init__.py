"""maskfield.metrics"""
