"""How the documentation is built; see `nox -s docs`."""

from __future__ import annotations

import sys
from pathlib import Path

import cloudtower_async

sys.path.append(str(Path(__file__).parent / "_ext"))

project = "cloudtower-async"
version = release = cloudtower_async.__version__
project_copyright = "the cloudtower-async maintainers"

extensions = ["myst_parser", "from_code", "side_by_side", "chinese"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "figures.md"]

html_search_scorer = str(Path(__file__).parent / "_ext" / "search_rules.js")

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_title = f"cloudtower-async {release}"
