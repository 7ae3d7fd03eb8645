"""Losses of the two heads and of the second stage."""
