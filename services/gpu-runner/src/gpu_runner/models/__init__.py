"""Weights of models that are not part of the installation: what they are, where, and how they come.

Nothing here loads them, so nothing imports torch.
"""
