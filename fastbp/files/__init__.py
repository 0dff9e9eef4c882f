"""Formats of files: safetensors, strict JSON, trees of plain values, states of generators.

Knows bytes and names; nothing of what the arrays mean.
"""
