"""Packages are listed by hand: find_packages() would miss twisted.plugins, which has no
__init__.py because that folder belongs to Twisted's namespace of plugins."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class Build(build_py):
    """Puts the sample configuration into the package, for `aprp init --sample`."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_file("etc/aprp.yaml", str(Path(self.build_lib, "aprp/init/sample.yaml")))


setup(
    cmdclass={"build_py": Build},
    packages=[*find_packages(include=["aprp", "aprp.*"]), "twisted.plugins"],
    package_data={
        "aprp": ["py.typed"],
        "aprp.demo": ["*.mp4", "page/*"],
        "aprp.web.admin": ["page/*"],
    },
)
