"""Build script of the extensions `herfast._core`, `herfast._core_envs` and `herfast._core_sb3`.

It compiles herfast/_core*.pyx, _core*.pxd and the headers in csrc/. All other settings are in pyproject.toml.

The extensions are also copied beside their source, so that Python started in the root of a clone finds them.

With HERFAST_DEBUG=1 they are built with assertions, bounds checks and no optimisation, and are not copied.
Use a copy of the source tree for such a build.
"""

import os
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

debug = os.environ.get("HERFAST_DEBUG") == "1"

# The hot paths only use xor, compare and shift, so -march=native would not make them faster.
# Aligned loops keep their speed when code before them changes: unpacking 256 bits took 3.3 or 4.1 us.
RELEASE_FLAGS = ["-O3", "-g0", "-DNDEBUG", "-falign-functions=32", "-falign-loops=32"]
DEBUG_FLAGS = ["-O0", "-g", "-UNDEBUG"]

extensions = [
    Extension(
        f"herfast.{name}",
        sources=[f"herfast/{name}.pyx"],
        include_dirs=["csrc", numpy.get_include()],
        depends=sorted([*glob("csrc/*.h"), "herfast/_core_checks.pxd"]),
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=["-std=c11", *(DEBUG_FLAGS if debug else RELEASE_FLAGS)],
    )
    for name in ("_core", "_core_envs", "_core_sb3")
]


class BuildExt(build_ext):
    """Build the extensions and, unless it is a debug build, copy them beside their source."""

    def run(self):
        super().run()
        if not (self.inplace or debug):  # an in-place build has already put them there
            self.copy_extensions_to_source()


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        extensions,
        compiler_directives={
            "language_level": 3,
            "boundscheck": debug,
            "wraparound": False,
            "initializedcheck": debug,
            "cdivision": True,
        },
        force=True,  # otherwise a build reuses C code that was generated with other directives
    ),
)
