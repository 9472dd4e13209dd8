"""The run directory as the daemon writes it: media, manifest, spill."""
