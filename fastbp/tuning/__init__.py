"""Which sizes of blocks are the fastest on this processor, measured: ``python -m fastbp tune``.

What the sizes are, and the rule that fills them from the caches, is `kernels.machine.sizes`'s.
"""
