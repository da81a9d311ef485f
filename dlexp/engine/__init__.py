"""The loop, the update and the evaluation; nothing here names a task."""
