"""Hooks of mkdocs: README, CONTRIBUTING and CHANGELOG become pages, and links that leave the pages become paths.

On GitHub the links of these files lead through the checkout. The site holds the pages alone, so a link to another
page is turned to that page, and one to any other file of the checkout to its path, in words. A link that leads
nowhere stops the build.
"""

import os
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
FENCES = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """The three pages of the root, and the pictures that they show."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
        for shown, _, target, _ in LINK.findall((ROOT / name).read_text(encoding="utf-8")):
            if shown:
                files.append(File.generated(config, target, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown, page, config, files):
    """The page with every link, outside of code, turned to where it leads on the site."""
    source = Path(page.file.abs_src_path)

    def turned(match):
        shown, text, target, anchor = match.groups(default="")
        if "://" in target:
            return match[0]
        path = (source.parent / target).resolve()
        if not path.exists():
            raise PluginError(f"{source.relative_to(ROOT)} links to {target}, which is not there")
        name = path.relative_to(ROOT).as_posix()
        inside = PAGES.get(name, name.removeprefix("docs/"))
        if inside in files.src_uris:
            start = os.path.dirname(page.file.src_uri)
            return f"{shown}[{text}]({os.path.relpath(inside, start or '.')}{anchor})"
        return f"`{name}`" if name.endswith(text.strip("`").rstrip("/")) else f"{text} (`{name}`)"

    pieces = FENCES.split(markdown), [*FENCES.findall(markdown), ""]
    return "".join(LINK.sub(turned, text) + code for text, code in zip(*pieces))
