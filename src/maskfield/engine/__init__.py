"""L5: the one training loop and what it needs. Knows the Task protocol, never a method."""
