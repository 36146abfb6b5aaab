"""Algorithm and replay buffer with the interface of Stable-Baselines3."""

try:
    import stable_baselines3 as _  # noqa: F401
except ImportError as error:
    raise ImportError("herfast.sb3 needs Stable-Baselines3: run `pip install 'herfast[sb3]'`") from error

from herfast.sb3.dqn import DQN
from herfast.sb3.her_replay_buffer import HerReplayBuffer

__all__ = ["DQN", "HerReplayBuffer"]
