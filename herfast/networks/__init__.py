"""The Q-network and its greedy policy."""
