"""``Run(...)`` on very many rows, written here as a daemon writes them: opening, looking up, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.harness import Form, Goal, Json, Report

_KEYS = 50
_OPEN_S = 5.0
_LOOKUP_MS = 10.0
_ROW_NBYTES = 1024

_ROW = (
    '{{"v":1,"key":"val/key{key:02d}","step":{step},"rank":0,"client":"00000000000000aa","seq":{seq},'
    '"state":"saved","time":{time},"value":{{"_type":"image-file","sha256":"{digest}","size":128123,'
    '"path":"media/images/val/key{key:02d}_{step}_{short}.png","format":"png","width":256,"height":256}},'
    '"input":{{"kind":"array","dtype":"uint8","shape":[256,256,3],"layout":"HWC","origin":"numpy","min":3,'
    '"max":251,"rule":"as_is"}},"host":"node1","pid":77,"files":[{{"path":'
    '"media/images/val/key{key:02d}_{step}_{short}.png","sha256":"{digest}","size":128123,"role":"image",'
    '"index":0}}]}}\n'
)

_PROGRAM = """
import json, os, random, sys, time
from pathlib import Path
import numpy
import pixlog

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

list(pixlog.Run(sys.argv[1]).rows(key="val/key00", step=0))[0].value  # everything imported
before, start, cpu = resident(), time.perf_counter(), time.process_time()
run = pixlog.Run(sys.argv[2])
count = run.row_count
open_s, open_cpu_s = time.perf_counter() - start, time.process_time() - cpu
keys, rng, lookups = int(sys.argv[3]), random.Random(0), []
for turn in range(200):
    key, step = rng.randrange(keys), rng.randrange(count // keys)
    start = time.perf_counter()
    (row,) = run.rows(key=f"val/key{key:02d}", step=step)
    path = row.value["path"]
    lookups.append(time.perf_counter() - start)
    assert path.startswith(f"media/images/val/key{key:02d}_{step}_"), path
print(json.dumps({"count": count, "open_s": open_s, "open_cpu_s": open_cpu_s, "first_lookup_ms": lookups[0] * 1e3,
    "lookup_median_ms": sorted(lookups)[100] * 1e3, "lookup_worst_ms": max(lookups[1:]) * 1e3,
    "memory_bytes_a_row": (resident() - before) / count}))
"""


def run(form: Form, directory: Path) -> Report:
    """Write the rows, then read them in a fresh process."""
    count = form.pick(20_000, 1_000_000)
    small, large = directory / "rows-small", directory / "rows"
    nbytes = _write(small, _KEYS) and _write(large, count)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(small), str(large), str(_KEYS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: Json = json.loads(done.stdout)
    assert found["count"] == count
    report = Report("reading", f"Reading a run of {count:,} rows", found | {"manifest_nbytes": nbytes})
    worst_ms = max(found["first_lookup_ms"], found["lookup_worst_ms"])
    report.goals += [
        Goal(
            f"`Run(...)` on {count:,} rows: open and count",
            f"≤ {_OPEN_S:g} s",
            f"{found['open_s']:.2f} s, of which {found['open_cpu_s']:.2f} s with a processor",
            found["open_s"] <= _OPEN_S if count >= 1_000_000 else None,
        ),
        Goal(
            "any (key, step) after that",
            f"≤ {_LOOKUP_MS:g} ms",
            f"first {found['first_lookup_ms']:.1f} ms, then median {found['lookup_median_ms']:.2f} ms, "
            f"worst of 200 {found['lookup_worst_ms']:.1f} ms",
            worst_ms <= _LOOKUP_MS,
        ),
        Goal(
            "memory",
            "≤ 1 KB a row",
            f"{found['memory_bytes_a_row']:.0f} bytes a row",
            found["memory_bytes_a_row"] <= _ROW_NBYTES,
        ),
    ]
    return report


def _write(path: Path, count: int) -> int:
    """Write a segment of ``count`` rows over `_KEYS` keys; return its bytes."""
    (path / "manifest").mkdir(parents=True)
    segment = path / "manifest" / "20250102T030405Z-node1-77.jsonl"
    with segment.open("w", encoding="utf-8") as lines:
        for seq in range(count):
            digest = f"{seq * 2_654_435_761 % (1 << 64):016x}" * 4
            lines.write(
                _ROW.format(
                    key=seq % _KEYS,
                    step=seq // _KEYS,
                    seq=seq,
                    time=1_700_000_000.5 + seq / 100,
                    digest=digest,
                    short=digest[:20],
                )
            )
    return segment.stat().st_size
