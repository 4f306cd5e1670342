"""Pages of HTML from templates/, each one file that needs no network."""

import base64
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: object) -> str:
    """Fill a template; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("gacsnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["embedded"] = embedded
    return environment.get_template(template).render(values)


def embedded(figure: Path) -> str:
    """A PNG as the address of an image."""
    return f"data:image/png;base64,{base64.b64encode(figure.read_bytes()).decode()}"
