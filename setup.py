"""Build the extension `herfast._core` from herfast/_core.pyx and the headers in csrc/. The rest is in pyproject.toml.

The extension is also left beside its source, so that Python started in the root of a clone finds it. With
HERFAST_DEBUG=1 it is built with asserts, bounds checks and no optimisation, and not left there: build it in a copy.
"""

import os
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

debug = os.environ.get("HERFAST_DEBUG") == "1"

core = Extension(
    "herfast._core",
    sources=["herfast/_core.pyx"],
    include_dirs=["csrc", numpy.get_include()],
    depends=sorted(glob("csrc/*.h")),
    define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
    # Plain -O3: the hot paths need xor, compare and shift, so a portable build loses nothing to -march=native.
    extra_compile_args=["-std=c11", "-O0", "-g", "-UNDEBUG"] if debug else ["-std=c11", "-O3", "-g0", "-DNDEBUG"],
)


class BuildExt(build_ext):
    """Build the extension and, but for a debug build, copy it beside its source."""

    def run(self):
        super().run()
        if not (self.inplace or debug):  # an editable install copies it anyway
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
        force=True,  # else a build takes over what one with the other switches left behind
    ),
)
