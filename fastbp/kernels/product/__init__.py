"""The matrix product, and the sums and transpositions that go with it.

Knows matrices; nothing of layers or steps.
"""
