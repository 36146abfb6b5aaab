"""Replay buffer for the algorithms of Stable-Baselines3."""

from herfast.sb3.her_replay_buffer import HerReplayBuffer

__all__ = ["HerReplayBuffer"]
