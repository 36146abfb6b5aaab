"""Python code of README.md, CONTRIBUTING.md and docs/ runs.

The blocks of a page run in order in one new process, in a folder with the modules of examples/. Those from
the first one on that needs Stable-Baselines3 are left out where it is missing.
"""

import importlib.util
import shutil

import pytest
from support.markdown import PAGES, ROOT, code_blocks, name_of, read
from support.processes import run_python

# What takes over a minute, and what runs instead.
REPLACED = {
    "env=[TowersOfHanoi(3), TowersOfHanoi(4)], seeds=3": "env=[TowersOfHanoi(2), TowersOfHanoi(3)], seeds=1",
}


def python_blocks(page):
    """Return a page's blocks, and how many come before Stable-Baselines3 is needed."""
    blocks = [block for block in code_blocks(read(page)) if block.language == "python"]
    needs = ["stable_baselines3" in block.text or "herfast.sb3" in block.text for block in blocks]
    return blocks, [*needs, True].index(True)


def replaced(text):
    for long, short in REPLACED.items():
        text = text.replace(long, short)
    return text


def run_blocks(page, blocks, folder):
    for module in (ROOT / "examples").glob("*.py"):
        shutil.copy(module, folder)
    # Line breaks come before a block, so that errors show lines of the page.
    code = "".join(
        f"exec(compile({chr(10) * block.line + replaced(block.text)!r}, {str(page)!r}, 'exec'))\n"
        for block in blocks
    )
    run_python(code, folder)


CASES = {page: python_blocks(page) for page in PAGES}
WITHOUT_SB3 = [page for page, (_, n) in CASES.items() if n > 0]
WITH_SB3 = [page for page, (blocks, n) in CASES.items() if n < len(blocks)]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITHOUT_SB3, ids=name_of)
def test_blocks_run(page, tmp_path):
    blocks, n = CASES[page]
    run_blocks(page, blocks[:n], tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("stable_baselines3") is None, reason="needs Stable-Baselines3")
@pytest.mark.parametrize("page", WITH_SB3, ids=name_of)
def test_blocks_run_with_sb3(page, tmp_path):
    run_blocks(page, CASES[page][0], tmp_path)


@pytest.mark.parametrize("long", REPLACED)
def test_what_is_replaced_is_on_a_page(long):
    assert any(long in block.text for blocks, _ in CASES.values() for block in blocks)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_have_a_language_that_the_tests_know(page):
    for block in code_blocks(read(page)):
        known = block.language in ("", "text", "python", "bash", "console")
        assert known or block.language.startswith("{"), block  # directives of MyST
