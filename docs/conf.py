"""Configuration of Sphinx.

`sphinx-build -W --keep-going -b html docs docs/_build` builds the site, without a network.
"""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.util import inspect

import herfast

sys.path.insert(0, str(Path(__file__).parent))
from inserts import with_inserts

project = "herfast"
author = "The herfast developers"
version = release = herfast.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "inserts"]
nitpicky = True
# Types of other packages, aliases, and types of herfast that are not public have no entry in the reference.
# In signatures with types of PyTorch, which is not installed, names have no package.
nitpick_ignore_regex = [
    ("py:class", r"[A-Z]\w*|(spaces|th|nn)\.\w+"),
    ("py:exc", r"ResetNeeded"),
    ("py:.*", r"(numpy|np|numbers|gymnasium|torch|stable_baselines3|pathlib|os|collections|typing)\b.*"),
    ("py:.*", r"herfast\.(common|envs|callbacks|networks|replay|dqn|experiments|presets|config|sb3)\..*"),
]

highlight_language = "text"
smartquotes_action = "D"  # dashes, which autodoc writes as two hyphens; quotes stay as they are
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"herfast {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

default_role = "code"  # docstrings write code as `code`
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_mock_imports = ["torch", "stable_baselines3"]  # gigabytes, of which only names are needed
napoleon_numpy_docstring = False

PUBLIC_NAMES = {f"herfast.{module}.{name}": f"herfast.{name}" for name, module in herfast._EXPORTS.items()}


def link_public_name(app, env, node, contnode):
    """Resolve a type of a signature, which names its module, to its entry under the public name."""
    name = PUBLIC_NAMES.get(node.get("reftarget"))
    if name is None:
        return None
    return env.domains["py"].resolve_xref(env, node["refdoc"], app.builder, "class", name, node, contnode)


def readable_signature(app, what, name, obj, options, signature, returns):
    """Return a signature with the arguments of the class itself, and with arrays as NDArray."""
    if what == "class" and hasattr(obj, "__sphinx_mock__") and "__init__" in vars(obj):  # the base has others
        arguments = inspect.signature(obj.__init__, bound_method=True)
        signature = inspect.stringify_signature(arguments, show_return_annotation=False)
    pattern = r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[(.*?)\]\]"
    texts = (text and re.sub(pattern, r"~numpy.typing.NDArray[\1]", text) for text in (signature, returns))
    return tuple(texts)


def insert_generated_parts(app, docname, source):
    """Replace the marker comments of a page by text that is made from the code."""
    source[0] = with_inserts(source[0])


def write_math(writer, node):
    """Write a formula as MathML, which browsers show without a script."""
    is_block = isinstance(node, nodes.math_block)
    writer.body.append(latex2mathml.tex2mathml(node.astext(), as_block=is_block))
    raise nodes.SkipNode


def setup(app):
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("source-read", insert_generated_parts)
    app.connect("missing-reference", link_public_name)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
