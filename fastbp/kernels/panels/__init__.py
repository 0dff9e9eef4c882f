"""Behaviours over blocks of a batch: activations, losses, updates, dropout, penalties.

Each is called by address and knows its block alone; nothing of the step around it.
"""
