"""Preparing official data sets: box conversions, labels from depth, poses on principal axes."""
