"""A small real training whose processes all log into one run; ``train_digits.py`` runs it."""
