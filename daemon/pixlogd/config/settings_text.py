"""Settings written as annotated TOML: what ``pixlogd serve --print-config`` shows and ``config/pixlogd.toml`` holds.

The text is itself a valid configuration: read back, it gives the settings it was written from.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.config.setting_kinds import Kind, Whole
from pixlogd.config.settings import KeyDefaults, Settings
from pixlogd.config.settings_merge import DEFAULT_SOURCE, SCALARS, ResolvedSettings

_WIDTH = 100


def effective_toml(resolved: ResolvedSettings) -> str:
    """Return the settings in effect, each with a comment that says where its value came from."""
    return "\n".join(_lines(resolved.settings, resolved.sources)) + "\n"


def reference_toml() -> str:
    """Return every setting at its default with what it does; what depends on the machine is written "auto"."""
    return "\n".join(_lines(Settings(), None)) + "\n"


def _lines(settings: Settings, sources: Mapping[str, str] | None) -> Iterator[str]:
    for name, field in SCALARS.items():
        if "." not in name:
            yield from _setting_lines(name, field, getattr(settings, name), sources)
    yield "[encode]"
    yield ""
    for field in fields(EncodeDefaults):
        yield from _setting_lines(
            f"encode.{field.name}", field, getattr(settings.encode, field.name), sources
        )
    yield "# Encoding by key: the first table whose pattern matches a key counts, and what it leaves out is as in"
    yield "# [encode]. In a pattern * stands for any text, / included, ? for one character, [abc] for one of these."
    if sources is None:
        yield '# [[encode.keys]]\n# pattern = "val/photos/*"\n# file_type = "jpg"\n# quality = 90'
    for rule in settings.encode_keys:
        yield from _key_rule_lines(rule, settings.encode)


def _setting_lines(
    name: str, field: Field[Any], value: Any, sources: Mapping[str, str] | None
) -> Iterator[str]:
    kind: Kind = field.metadata["kind"]
    yield from textwrap.wrap(
        field.metadata["doc"], _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False
    )
    if len(kind.expected) + 8 < _WIDTH:
        yield f"# Takes {kind.expected}."
    if value is None:
        text = f"# {field.name} = {kind.to_toml(field.metadata['example'])}"
    elif sources is None and isinstance(kind, Whole) and kind.auto is not None:
        text = f'{field.name} = "auto"'
    else:
        text = f"{field.name} = {kind.to_toml(value)}"
    if sources is not None:
        source = sources.get(name, DEFAULT_SOURCE)
        text += (
            "  # unset"
            if value is None
            else f"  # {'default' if source == DEFAULT_SOURCE else f'from {source}'}"
        )
    yield text
    yield ""


def _key_rule_lines(rule: KeyDefaults, encode: EncodeDefaults) -> Iterator[str]:
    yield ""
    yield "[[encode.keys]]"
    # JSON's escapes are TOML's too, except that TOML wants the delete character escaped.
    pattern = json.dumps(rule.pattern, ensure_ascii=False).replace("\x7f", "\\u007f")
    yield f"pattern = {pattern}"
    for field in fields(EncodeDefaults):
        value = getattr(rule.encode, field.name)
        if value != getattr(encode, field.name):
            yield f"{field.name} = {field.metadata['kind'].to_toml(value)}"
