"""Training on Gymnasium environments of others."""
