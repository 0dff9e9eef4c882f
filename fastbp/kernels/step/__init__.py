"""The step of training, from its records to its two phases, and prediction.

Knows the layers of one network by their addresses; nothing of Python.
"""
