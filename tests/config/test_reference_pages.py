"""What is written about settings is what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pixlogd
import reference_pages
from pixlog import environment
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.config.settings import KeyDefaults, Settings
from pixlogd.config.settings_merge import SCALARS, ResolvedSettings, resolve_settings
from pixlogd.config.settings_text import effective_toml

REWRITE = "run  make reference"


def test_reference_file_parses_to_defaults() -> None:
    """config/pixlogd.toml, which shows every setting, changes none."""
    resolved = resolve_settings(config_path=reference_pages.TOML_PATH, environ={})
    assert resolved.settings == Settings()
    assigned = {name for name, source in resolved.sources.items() if source != "default"}
    assert assigned == {name for name, field in SCALARS.items() if field.default is not None}


def test_reference_file_is_up_to_date() -> None:
    """config/pixlogd.toml says what the settings' own texts say."""
    assert reference_pages.TOML_PATH.read_text(encoding="utf-8") == reference_pages.toml_text(), REWRITE


def test_reference_file_examples_are_valid(tmp_path: Path) -> None:
    """Each commented-out assignment of config/pixlogd.toml can be switched on as it stands."""
    text = reference_pages.TOML_PATH.read_text(encoding="utf-8")
    switched_on = re.sub(r"^# (\w+ = |\[\[)", r"\1", text, flags=re.MULTILINE)
    path = tmp_path / "pixlogd.toml"
    path.write_text(switched_on, encoding="utf-8")
    settings = resolve_settings(config_path=path, environ={}).settings
    assert settings.encode.quality is not None
    assert [rule.pattern for rule in settings.encode_keys] == ["val/photos/*"]


def test_configuration_page_is_up_to_date() -> None:
    """The table of docs/configuration.md says what the settings' own texts say."""
    page = reference_pages.PAGE_PATH.read_text(encoding="utf-8")
    assert page == reference_pages.page_text(page), REWRITE


@pytest.mark.parametrize("variable", [name for name in vars(environment) if name.startswith("PIXLOG_")])
def test_configuration_page_names_variable(variable: str) -> None:
    """Every environment variable that pixlog reads is on the page."""
    assert f"`{variable}`" in reference_pages.PAGE_PATH.read_text(encoding="utf-8")


def test_environment_constants_equal_their_names() -> None:
    """Each constant holds the name of its variable, which is its own name."""
    constants = {name: value for name, value in vars(environment).items() if name.startswith("PIXLOG_")}
    assert constants == {name: name for name in constants}


def test_effective_toml_names_sources(tmp_path: Path) -> None:
    """Each value is printed with the place that it came from, and what is unset as a comment."""
    path = tmp_path / "a.toml"
    path.write_text("drain_s = 3")
    resolved = resolve_settings(
        arguments={"nice": 3}, environ={"PIXLOG_ENCODE_QUALITY": "7"}, config_path=path
    )
    lines = effective_toml(resolved).splitlines()
    assert "nice = 3  # from the command line" in lines
    assert "quality = 7  # from PIXLOG_ENCODE_QUALITY" in lines
    assert f"drain_s = 3  # from {path}" in lines
    assert 'fsync = "off"  # default' in lines
    assert "# lossless = true  # unset" in lines


@given(
    pattern=st.text(min_size=1).filter(lambda text: text.isprintable() or "\x7f" in text),
    seconds=st.floats(min_value=0, max_value=86_400),
    nbytes=st.integers(min_value=2**20, max_value=2**50),
)
def test_effective_toml_reads_back(pattern: str, seconds: float, nbytes: int) -> None:
    """What is printed is a configuration that gives the same settings again."""
    encode = EncodeDefaults(quality=3)
    settings = Settings(
        drain_s=seconds,
        queue_bytes=nbytes,
        encode=encode,
        encode_keys=(KeyDefaults(pattern, EncodeDefaults(file_type="jpg", quality=3, background=(1, 2, 3))),),
    )
    document = tomllib.loads(effective_toml(ResolvedSettings(settings, {})))
    (rule,) = document["encode"]["keys"]
    assert rule == {"pattern": pattern, "file_type": "jpg", "background": [1, 2, 3]}
    assert document["drain_s"] == seconds
    kind = SCALARS["queue_bytes"].metadata["kind"]
    assert kind.from_toml(document["queue_bytes"]) == nbytes


@pytest.mark.parametrize("name", list(SCALARS))
def test_setting_has_reader(name: str) -> None:
    """Each setting is read somewhere in the daemon beside the code that merges settings: none is without effect."""
    sources = [
        path for path in Path(pixlogd.__file__).parent.rglob("*.py") if not path.stem.startswith("setting")
    ]
    holder = "defaults" if "." in name else "settings"
    read = re.compile(rf"{holder}\.{name.rpartition('.')[2]}\b")
    assert any(read.search(path.read_text(encoding="utf-8")) for path in sources)
