"""The composition root: the ``matterlog`` command, its settings, the embedded broker, the demo."""
