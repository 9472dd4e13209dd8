"""pixlog: an asynchronous streaming image logger for machine-learning training."""
