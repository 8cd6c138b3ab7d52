"""Hooks of mkdocs.yml: pages made from files of the repository's root, and links to its sources.

The pages are written for GitHub, where links lead to any file. The site has the docs only: a link
to another file becomes plain text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files, config):
    """Add the pages that are files of the root."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = re.sub(r'(\]\(|src=")(?!\w+:)', r"\1../", text).replace("](../#", "](#")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Rewrite links that lead out of the docs folder."""
    markdown = markdown.replace("../docs/", "")
    for page_name, source in PAGES.items():
        markdown = markdown.replace(f"](../{source}", f"]({page_name}")
    folder = posixpath.dirname(page.file.src_uri)

    def without_outside_link(link):
        text, target = link.groups()
        outside = posixpath.normpath(posixpath.join(folder, target)).startswith("..")
        return text if outside and "://" not in target else link[0]

    return LINK.sub(without_outside_link, markdown)
