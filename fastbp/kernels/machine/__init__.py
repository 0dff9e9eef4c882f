"""Compilation, and the machine: vectors, pointers, elementary functions, threads.

Knows nothing of networks, not even that there are layers.
"""
