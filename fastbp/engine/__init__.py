"""One network's memory, and the calls into the kernels.

Knows shapes, buffers and addresses; nothing of what a user may pass, of epochs or of files.
"""
