"""pixlogd: the daemon that converts, encodes, stores and indexes what pixlog clients log."""
