"""Networks in torch.

Each takes a normalized batch, float32 (n, 3, s, s), and returns its layers by name, each (n, d). Names and shapes of
the weights are those of the published files, so that these load unchanged.
"""

__all__: list[str] = []
