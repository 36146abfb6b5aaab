"""Build script of the extension `herfast._core`.

It compiles herfast/_core.pyx, _core.pxd and the headers in csrc/. All other settings are in pyproject.toml.

The extension is also copied beside its source, so that Python started in the root of a clone finds it.

With HERFAST_DEBUG=1 it is built with assertions, bounds checks and no optimisation, and it is not copied. Use
a copy of the source tree for such a build.
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

core = Extension(
    "herfast._core",
    sources=["herfast/_core.pyx"],
    include_dirs=["csrc", numpy.get_include()],
    depends=sorted(glob("csrc/*.h")),
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    extra_compile_args=["-std=c11", *(DEBUG_FLAGS if debug else RELEASE_FLAGS)],
)


class BuildExt(build_ext):
    """Build the extension and, unless it is a debug build, copy it beside its source."""

    def run(self):
        super().run()
        if not (self.inplace or debug):  # an in-place build has already put it there
            self.copy_extensions_to_source()


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        [core],
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
