"""The viewer's modules as one classic script: browsers load no modules from ``file://``.

Each module becomes a function that is called when its first importer is.  What it exports are getters that are there
before its code runs, so modules may import each other in a circle as long as they use functions only, as theirs do.
This is no general bundler: imports and exports stand on one line each, at the beginning of the line, and anything
else that begins with these words is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from pixlog.errors import PixlogError

_IMPORT: Final = re.compile(r'^import \{ (?P<names>[\w$, ]+) \} from "\./(?P<file>[\w.-]+)";$')
_IMPORT_ALL: Final = re.compile(r'^import \* as (?P<name>[\w$]+) from "\./(?P<file>[\w.-]+)";$')
_EXPORT: Final = re.compile(r"^export (?P<kind>(?:async )?function\*? |class |const )(?P<name>[\w$]+)")
_STYLES: Final = re.compile(r'<link rel="stylesheet" href="static/([\w.-]+)"')

_HEAD: Final = """\
"use strict";
{
const factories = new Map();
const loaded = new Map();
const define = (name, factory) => factories.set(name, factory);
const use = (name) => {
let exports = loaded.get(name);
if (!exports) {
loaded.set(name, (exports = {}));
factories.get(name)((getters) => {
for (const [name, get] of Object.entries(getters)) Object.defineProperty(exports, name, { get, enumerable: true });
});
}
return exports;
};
"""


def viewer_script() -> str:
    """Return the viewer as one script that takes its answers from the exported folder."""
    modules = _texts("pixlog.view", ".js") | _texts("pixlog.export.html", ".js")
    modules["server.js"] = modules.pop("exported.js")
    return bundled(modules, "main.js")


def viewer_styles() -> str:
    """Return the viewer's style sheets in the order in which its page names them."""
    sheets = _texts("pixlog.view", ".css")
    page = (files("pixlog.view") / "static" / "index.html").read_text("utf-8")
    return "\n".join(sheets[name] for name in _STYLES.findall(page))


def bundled(modules: Mapping[str, str], first: str) -> str:
    """Return the modules that ``first`` needs, directly or not, as one script; raise ``PixlogError`` for other code."""
    done: dict[str, str] = {}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name in done:
            continue
        if name not in modules:
            raise PixlogError(f"no module {name!r} among {', '.join(sorted(modules))}")
        done[name], needed = _wrapped(name, modules[name])
        waiting += needed
    script = _HEAD + "".join(done[name] for name in sorted(done)) + f'use("{first}");\n}}\n'
    if "</script" in script.lower() or "<!--" in script:
        raise PixlogError("a script within a page cannot hold the text </script or <!--")
    return script


def _wrapped(name: str, text: str) -> tuple[str, list[str]]:
    lines, exported, needed = [], [], []
    for line in text.splitlines():
        if found := _IMPORT.match(line):
            needed.append(found["file"])
            names = found["names"].replace(" as ", ": ")
            lines.append(f'const {{ {names} }} = use("{found["file"]}");')
        elif found := _IMPORT_ALL.match(line):
            needed.append(found["file"])
            lines.append(f'const {found["name"]} = use("{found["file"]}");')
        elif found := _EXPORT.match(line):
            exported.append(found["name"])
            lines.append(line.removeprefix("export "))
        elif line.startswith(("import ", "export ", "import{", "export{")):
            raise PixlogError(f"{name}: this form of import or export is not known here: {line!r}")
        else:
            lines.append(line)
    getters = ", ".join(f"{one}: () => {one}" for one in exported)
    body = "\n".join(lines)
    return f'define("{name}", (offer) => {{\noffer({{ {getters} }});\n{body}\n}});\n', needed


def _texts(package: str, suffix: str) -> dict[str, str]:
    folder = files(package) / "static"
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(suffix)}
