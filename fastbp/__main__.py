"""``python -m fastbp``: what a bug report should tell."""

from fastbp.system import show_config

show_config()
