"""The main job in front of the user: a small hospital around one gateway."""
