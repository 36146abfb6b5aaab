"""Callbacks of `Agent.learn`: JSON lines, CSV and TensorBoard."""
