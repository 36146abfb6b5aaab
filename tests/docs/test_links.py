"""Links and images of the Markdown files, and the places of generated tables."""

import re
from urllib.parse import unquote, urlsplit

import pytest
from support.markdown import PAGES, ROOT, anchors, code_blocks, links, name_of, read, spans

FOLDERS = ("docs", "tests", "bench", "examples", "csrc")
FILES = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
FILES = sorted(path for path in FILES if "_build" not in path.parts)
BEGIN = re.compile(r"<!-- (\w+):begin -->")
END = re.compile(r"<!-- (\w+):end -->")


def all_anchors(path):
    """Return the anchors of a page and of the pages that it includes."""
    found = anchors(read(path))
    for block in code_blocks(read(path)):
        directive, _, included = block.language.partition(" ")
        if directive == "{include}":
            found |= anchors(read(path.parent / included))
    return found


def problem(page, target):
    """Return a sentence if the target of a link on a page is missing, else None."""
    parts = urlsplit(target)
    if parts.scheme:
        if parts.scheme not in ("https", "mailto") or (parts.scheme == "https" and "." not in parts.netloc):
            return f"{target} is not an https address"
        return None
    path = page
    if parts.path:
        path = (page.parent / unquote(parts.path)).resolve()
    if not path.exists() or not path.is_relative_to(ROOT):
        return f"{target} is not a file of the repository"
    if parts.fragment and (path.suffix != ".md" or unquote(parts.fragment) not in all_anchors(path)):
        return f"{target} is not a heading"
    return None


@pytest.mark.parametrize("page", FILES, ids=name_of)
def test_links_lead_to_files_headings_and_addresses(page):
    found = [problem(page, target) for target in links(read(page))]
    assert [sentence for sentence in found if sentence] == []


def test_broken_links_are_found(tmp_path):
    page = ROOT / "README.md"
    text = '# One `two`\n\n[a](#one-two) [b](#one) [c](LICENSE "t") ![d](no.png)\n[e](../x.md)\n\n[f]: http://x.org\n'
    text += '<img src="docs/no.gif"> `[g](no.md)`\n\n```\n[h](no.md)\n```\n<https://localhost>\n'
    assert anchors(text) == {"one-two"}
    assert links(text)[0] == "#one-two"
    assert [problem(page, target) for target in links(text)[1:]] == [
        "#one is not a heading",
        None,
        "no.png is not a file of the repository",
        "../x.md is not a file of the repository",
        "http://x.org is not an https address",
        "docs/no.gif is not a file of the repository",
        "https://localhost is not an https address",
    ]


def test_each_generated_table_is_in_one_place():
    begins = {page: BEGIN.findall(read(page)) for page in FILES}
    for page, names in begins.items():
        assert END.findall(read(page)) == names, page
    everywhere = [name for names in begins.values() for name in names]
    assert everywhere
    assert sorted(set(everywhere)) == sorted(everywhere)


def test_commands_write_tables_to_their_place():
    # `python bench/report.py NAME.json --write PAGE` needs the markers of NAME in PAGE.
    found = []
    for page in PAGES:
        text = read(page)
        for code in [*spans(text), *(block.text for block in code_blocks(text))]:
            found += re.findall(r"bench/report\.py (\w+)\.json --write (\S+)", code)
    assert found
    for name, target in found:
        assert name in BEGIN.findall(read(ROOT / target)), (name, target)
