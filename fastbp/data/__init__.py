"""From what people have (arrays, frames, tensors, sparse rows, maps of files) to arrays.

Knows dtypes and widths; nothing of losses, networks or training.
"""
