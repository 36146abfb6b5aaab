"""The version of the package in the files that people and programs read."""

import re

from support.markdown import ROOT, read


def test_citation_and_changelog_have_the_version_of_the_package():
    version = re.search(r'^version = "(.+)"$', read(ROOT / "pyproject.toml"), re.MULTILINE)[1]
    citation = read(ROOT / "CITATION.cff")
    date = re.search(r'^date-released: "(.+)"$', citation, re.MULTILINE)[1]
    assert f"\nversion: {version}\n" in citation
    assert re.findall(r"^## (.+)$", read(ROOT / "CHANGELOG.md"), re.MULTILINE)[0] == f"{version} ({date})"
