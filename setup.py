"""Packages are listed by hand: find_packages() would miss twisted.plugins, which has no
__init__.py because that folder belongs to Twisted's namespace of plugins."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["aprp", "aprp.*"]), "twisted.plugins"],
    package_data={
        "aprp": ["py.typed"],
        "aprp.demo": ["*.mp4", "*.html"],
        "aprp.web.admin": ["page/*"],
    },
)
