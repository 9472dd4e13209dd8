"""Where settings come from: argument > ``PIXLOG_*`` variable > TOML file > default, merged in one function.

Every scalar setting has a dotted name, ``nice`` or ``encode.quality``, which is its place in the TOML file and, in
capitals behind ``PIXLOG_``, its variable: ``PIXLOG_NICE``, ``PIXLOG_ENCODE_QUALITY``.  ``[[encode.keys]]`` exists in
the file alone.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from pixlog import environment
from pixlog.errors import ConfigError
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.config.setting_kinds import Kind
from pixlogd.config.settings import KeyDefaults, Settings

DEFAULT_SOURCE: Final = "default"
ARGUMENT_SOURCE: Final = "the command line"


def _scalar_fields() -> dict[str, Field[Any]]:
    top = {field.name: field for field in fields(Settings) if "kind" in field.metadata}
    return top | {f"encode.{field.name}": field for field in fields(EncodeDefaults)}


SCALARS: Final[Mapping[str, Field[Any]]] = _scalar_fields()
"""Dotted name → dataclass field (its metadata hold ``kind``, ``doc`` and ``example``), in the file's order."""

_KEY_RULE_NAMES: Final = ("pattern", *(field.name for field in fields(EncodeDefaults)))


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """Settings and where each came from: dotted name → "default", a variable, the file or the command line."""

    settings: Settings
    sources: Mapping[str, str]


def variable_of(name: str) -> str:
    """Return the environment variable of the setting with this dotted name."""
    return "PIXLOG_" + name.replace(".", "_").upper()


def resolve_settings(
    *,
    arguments: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config_path: str | os.PathLike[str] | None = None,
) -> ResolvedSettings:
    """Merge ``arguments`` (dotted names), ``environ`` (default ``os.environ``) and the TOML file with the defaults.

    Without ``config_path`` the file is the one that ``PIXLOG_CONFIG`` names, if any.  Raises ``ConfigError`` for a
    file that cannot be read, an unknown name (with the nearest known one) and a value of the wrong kind.
    """
    env = os.environ if environ is None else environ
    given = dict(arguments or {})
    for name in given.keys() - SCALARS.keys():
        raise ConfigError(f"{ARGUMENT_SOURCE}: {_unknown(name, SCALARS)}")
    path = config_path or env.get(environment.PIXLOG_CONFIG) or None
    file = _read_toml(path) if path is not None else _TomlSettings({}, [])

    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, field in SCALARS.items():
        kind: Kind = field.metadata["kind"]
        text = env.get(variable_of(name), "").strip()
        try:
            if given.get(name) is not None:
                sources[name] = ARGUMENT_SOURCE
                values[name] = kind.from_toml(given[name])
            elif text:
                sources[name] = variable_of(name)
                values[name] = kind.from_text(text)
            elif name in file.scalars:
                sources[name] = str(path)
                values[name] = kind.from_toml(file.scalars[name])
            else:
                sources[name] = DEFAULT_SOURCE
                values[name] = field.default
        except ValueError as exc:
            where = (
                sources[name] if sources[name] == variable_of(name) else f"{sources[name]}: setting {name!r}"
            )
            raise ConfigError(f"{where}: {exc}") from None

    encode = EncodeDefaults(**{_last(name): value for name, value in values.items() if "." in name})
    keys = tuple(_key_defaults(rule, index, encode, str(path)) for index, rule in enumerate(file.key_rules))
    sources["encode.keys"] = str(path) if keys else DEFAULT_SOURCE
    top = {name: value for name, value in values.items() if "." not in name}
    return ResolvedSettings(Settings(**top, encode=encode, encode_keys=keys), sources)


def load_settings(
    *,
    arguments: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    config_path: str | os.PathLike[str] | None = None,
) -> Settings:
    """Return the settings of ``resolve_settings`` without their sources."""
    return resolve_settings(arguments=arguments, environ=environ, config_path=config_path).settings


def parse_assignments(texts: Iterable[str]) -> dict[str, object]:
    """Return the arguments that ``name=value`` texts of a command line mean; ``ConfigError`` for a bad one."""
    arguments: dict[str, object] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise ConfigError(f"--set: got {text!r}, expected name=value such as nice=5")
        if name not in SCALARS:
            raise ConfigError(f"--set: {_unknown(name, SCALARS)}")
        try:
            arguments[name] = SCALARS[name].metadata["kind"].from_text(value)
        except ValueError as exc:
            raise ConfigError(f"--set {name}: {exc}") from None
    return arguments


def misspelt_variables(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (variable, nearest known one) for each ``PIXLOG_*`` variable that looks like a slip of the keyboard.

    A variable is inherited from anywhere, so an unknown one is worth a warning and never an error.
    """
    known = {name for name in vars(environment) if name.startswith("PIXLOG_")} | set(
        map(variable_of, SCALARS)
    )
    slips = []
    for name in sorted(environ):
        if name.startswith("PIXLOG_") and name not in known:
            slips += [(name, near) for near in difflib.get_close_matches(name, known, n=1, cutoff=0.85)]
    return slips


@dataclass(frozen=True, slots=True)
class _TomlSettings:
    scalars: dict[str, object]
    key_rules: list[object]


def _read_toml(path: str | os.PathLike[str]) -> _TomlSettings:
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not TOML: {exc}") from exc
    encode = document.pop("encode", {})
    if not isinstance(encode, dict):
        raise ConfigError(f"{path}: setting 'encode': got {encode!r}, expected a table, [encode]")
    key_rules = encode.pop("keys", [])
    if not isinstance(key_rules, list):
        raise ConfigError(
            f"{path}: setting 'encode.keys': got {key_rules!r}, expected tables, [[encode.keys]]"
        )
    scalars = document | {f"encode.{name}": value for name, value in encode.items()}
    for name in scalars:
        if name not in SCALARS:
            raise ConfigError(f"{path}: {_unknown(name, SCALARS)}")
    return _TomlSettings(scalars, key_rules)


def _key_defaults(rule: object, index: int, encode: EncodeDefaults, path: str) -> KeyDefaults:
    where = f"{path}: [[encode.keys]] number {index + 1}"
    if not isinstance(rule, dict):
        raise ConfigError(f"{where}: got {rule!r}, expected a table")
    for name in rule:
        if name not in _KEY_RULE_NAMES:
            raise ConfigError(f"{where}: {_unknown(name, _KEY_RULE_NAMES)}")
    pattern = rule.get("pattern")
    if not isinstance(pattern, str) or not pattern:
        raise ConfigError(
            f"{where}: setting 'pattern': got {pattern!r}, expected a pattern of keys such as 'val/*'"
        )
    changes = {}
    for name in rule.keys() - {"pattern"}:
        try:
            changes[name] = SCALARS[f"encode.{name}"].metadata["kind"].from_toml(rule[name])
        except ValueError as exc:
            raise ConfigError(f"{where}: setting {name!r}: {exc}") from None
    return KeyDefaults(pattern, replace(encode, **changes))


def _unknown(name: str, known: Iterable[str]) -> str:
    names = list(known)
    by_last = {_last(candidate): candidate for candidate in names}
    exact = [by_last[_last(name)]] if _last(name) in by_last else []  # the right word in the wrong table
    near = exact or difflib.get_close_matches(name, names, n=1)
    near = near or [by_last[word] for word in difflib.get_close_matches(_last(name), by_last, n=1)]
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(names)}"
    return f"unknown setting {name!r}: {hint}"


def _last(name: str) -> str:
    return name.rpartition(".")[2]
