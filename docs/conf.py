"""The documentation as a site: `make docs` builds it into site/. Its sources read well on a forge, too."""

from services.gateway.openapi import API_VERSION

project = "Last Frame"
release = API_VERSION
extensions = ["myst_parser", "sphinx_copybutton"]

# The whole repository is the source, so that pages outside docs/ are linked to as they are on a forge.
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/*/*.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
]
exclude_patterns = [".*", "bench/.cache", "site", "build", "dist", "**/__pycache__"]

nitpicky = True
suppress_warnings = ["misc.highlighting_failure"]  # answers are cut with a lone …, which is no JSON
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Last Frame"
html_favicon = "static/mark.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"light_logo": "mark.svg", "dark_logo": "mark.svg"}
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # it fetches pages, which a browser refuses to a site that is opened as a file
copybutton_exclude = ".linenos, .gp, .go"
# Answers are no input: only commands and programs get the button.
copybutton_selector = "div.highlight-sh pre, div.highlight-python pre"

pygments_style = "friendly"
pygments_dark_style = "github-dark"
