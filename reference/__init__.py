"""The manual pages and shell completions, made from the parsers and the settings' docstrings.

``python -m reference`` (``make reference``) writes them; a test fails when they are out of date.
"""
