"""A log call becomes media bytes and the value of its row; no disk, no socket."""
