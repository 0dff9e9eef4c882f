"""fastbp with products of bfloat16: parameters, sums and updates are float32."""

from . import fastbp_fit


class Contestant(fastbp_fit.Contestant):
    """As in float32, but for the network's products."""

    products = "bfloat16"
