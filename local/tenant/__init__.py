"""A simulated Microsoft 365 tenant: Graph v1.0, its token endpoints and a control API, in one process, in memory.

It is held to Graph's documented behaviour, never to what a particular client sends. Nothing here imports the product.
"""
