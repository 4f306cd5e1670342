"""Pages of HTML and their figures from templates/, each one file that needs no network."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("gacsnn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: object) -> str:
    """Fill a template; every value is escaped, but for what is `markupsafe.Markup`."""
    return environment().get_template(template).render(values)
