"""A mistake on the command line, from Hydra's several lines and many paths to one line that says what to do."""

import re

from gacsnn.config import Config, options
from gacsnn.errors import nearest


def one_line(message: str) -> str:
    """Hydra's or OmegaConf's message as one line."""
    if found := re.search(r"Could not override '([^']+)'", message):
        return unknown_option(found[1])
    if found := re.search(r"Could not find '(.+)/([^/']+)'", message):
        group, asked = found.groups()
        choices = [line.strip() for line in message.splitlines() if line.startswith("\t") and "=" not in line]
        return f"{group}={asked}: no such {group}{nearest(asked, choices)}; choose one of {', '.join(choices)}"
    if found := re.search(r"string: (.*?) out of \[", message):
        return f"{found[1]}: not an override; options are written KEY=VALUE, such as T=6 or optimizer.lr=0.05"
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return "; ".join(line for line in lines if not line.startswith(("object_type", "See https")))


def unknown_option(key: str) -> str:
    names = [*Config.model_fields, *options()]
    if key in names:
        group = key.rsplit(".", 1)[0]
        return f"{key}: this choice of {group} has no such option; name the choice that has it, as {group}=NAME"
    return f"{key}: no such option{nearest(key, names)}; `python launch.py --help` shows all"
