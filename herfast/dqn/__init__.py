"""The agent: rollout, training loop, evaluation, diagnosis, checkpoint."""
