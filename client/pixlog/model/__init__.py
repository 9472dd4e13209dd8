"""What a user logs: images, overlays and their options, checked and described."""
