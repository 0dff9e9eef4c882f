"""Rows as a network takes them: features, targets and weights, checked against its parts.

Knows what a network is made of; nothing of memory, kernels' records or epochs.
"""
