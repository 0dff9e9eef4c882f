"""All that is compiled, in four rooms: machine, product, panels, step; see its README.

Knows addresses and shapes; nothing of networks, Python objects or data that is not checked.
"""
