"""Where every array lies in memory, and how batches are cut: offsets, strides, slabs.

Knows widths and the vectors of the machine; nothing of what networks compute.
"""
