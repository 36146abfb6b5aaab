"""The hindsight replay buffer."""
