"""The demo: an invented firm, an embedded broker, the main job from end to end."""
