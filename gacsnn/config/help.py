"""What `--help` says of each option: a sentence, its type and range, and its default."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

from gacsnn.config.schema import Config, choices_with, options

TYPES = {"integer": "whole number", "number": "number", "string": "text", "null": "null"}


def options_help(composed: Any) -> str:
    """A line an option. `composed`: a config, whose values are the defaults that are shown."""
    types = option_types()
    return "\n".join(line(name, help, types[name], default(name, composed)) for name, help in options().items())


def line(name: str, help: str, kind: str, remark: str) -> str:
    return f"  {name:<32} {help} [{kind}; {remark}]"


def default(name: str, composed: Any) -> str:
    """`default 0.002`; or, where the groups as they are chosen have no such option, `with dataset=cifar10, ...`."""
    node = composed
    for part in name.split("."):
        if not isinstance(node, Mapping) or part not in node:
            group, _, rest = name.partition(".")
            return f"with {group}={', '.join(choices_with(group, rest))}"
        node = node[part]
    return f"default {written(node)}"


def written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def option_types(kind: Any = Config, prefix: str = "") -> dict[str, str]:
    """The type and range of every option, as `options` names them; where choices of a group differ in it, those of each."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        found: dict[str, str] = {}
        for variant in get_args(kind):
            for name, text in option_types(variant, prefix).items():
                found[name] = text if found.get(name, text) == text else f"{found[name]}, or {text}"
        return found
    found = {}
    for name, field in kind.model_fields.items():
        inner = option_types(field.annotation, f"{prefix}{name}.")
        if inner or field.description is not None:
            found |= inner or {prefix + name: described(kind.model_json_schema()["properties"][name])}
    return found


def described(schema: Mapping[str, Any]) -> str:
    """A type of JSON schema in words: `whole number, 1 to 10000`, `null or number above 0, at most 1e+09`."""
    if "anyOf" in schema:
        return " or ".join(described(each) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " or ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema["type"] == "boolean":
        return "true or false"
    if schema["type"] == "array":
        exact = schema.get("minItems") if schema.get("minItems") == schema.get("maxItems") else None
        return f"list of {'' if exact is None else f'{exact} x '}{described(schema['items'])}"
    return f"{TYPES[schema['type']]}{ends(schema)}"


def ends(schema: Mapping[str, Any]) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    words = [
        *([f"from {low:g}"] if low is not None else []),
        *([f"above {above:g}"] if above is not None else []),
        *([f"to {number(high)}"] if high is not None else []),
        *([f"below {number(below)}"] if below is not None else []),
    ]
    return f" {' '.join(words)}" if words else ""


def number(value: float) -> str:
    return str(value) if isinstance(value, int) and value < 10**10 else f"{value:g}"
