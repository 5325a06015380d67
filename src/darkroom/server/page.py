"""The one page at `/`: what this is, which version answers, how to call it."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.metadata import version

from fastapi import FastAPI, Response

from darkroom.operation import NOUNS, operations
from darkroom.server.gate import POLICY

__all__ = ["add_page"]

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem;
  color: CanvasText; background: Canvas; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid GrayText; border-radius: .25rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem 1rem .25rem 0; }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Darkroom</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Darkroom {version}</h1>
<p>This is the server of one Darkroom project. Programs call it; it has no pages to work with yet.</p>
<p>Each request carries the token that the server printed when it started:</p>
<pre>curl -X POST -H "Authorization: Bearer TOKEN" http://HOST/api/status</pre>
<p>Every operation, its parameters and its answer: <a href="/api/openapi.json">/api/openapi.json</a>.</p>
<h2>Operations</h2>
{tables}
</main>
</body>
</html>
"""


def add_page(app: FastAPI) -> None:
    """Adds the page, written once."""
    page = _page()
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; {POLICY}"

    def read_page() -> Response:
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    app.add_api_route("/", read_page, methods=["GET", "HEAD"], include_in_schema=False)


def _page() -> str:
    tables = []
    for noun, (_, meaning) in NOUNS.items():
        found = [operation for operation in operations(noun).values() if operation.over_http]
        rows = "\n".join(
            f"<tr><td><code>POST /api/{operation.name.replace('.', '/')}</code></td>"
            f"<td>{escape(operation.summary)}</td></tr>"
            for operation in found
        )
        if found:
            heading = escape(f"{noun or 'project'}: {meaning}")
            tables.append(f"<h3>{heading}</h3>\n<table>\n{rows}\n</table>")
    return PAGE.format(style=STYLE, version=escape(version("darkroom")), tables="\n".join(tables))
