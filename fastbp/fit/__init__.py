"""The loop over the epochs, and what is measured between them.

Knows networks by what `trained.Trained` tells of one; nothing of what a user may pass as data.
"""
