"""Networks of one shape side by side in the lanes of vectors, for those too small to fill one.

Knows what the kernels of one network compute; nothing of where its numbers lie there.
"""
