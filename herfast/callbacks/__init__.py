"""What `Agent.learn` can call after a cycle: JSON lines, CSV, TensorBoard."""
