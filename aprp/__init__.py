"""aprp: an asynchronous Python range proxy.

Public names are looked up when first used, so that importing a part of the package (the pure
``aprp.core`` above all) never loads Twisted.
"""

__version__ = "0.1.0"
