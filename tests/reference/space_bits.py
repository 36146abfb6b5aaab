"""Bits of a value of a Gymnasium space, written for readability."""


def bits_of(space, value):
    """Return the bits of one value as a list. Integers are one-hot."""
    if hasattr(space, "spaces"):
        keys = space.spaces if isinstance(space.spaces, dict) else range(len(space.spaces))
        return [bit for key in keys for bit in bits_of(space[key], value[key])]
    if type(space).__name__ == "MultiBinary":
        return [int(bit) for bit in value.reshape(-1)]
    if type(space).__name__ == "Discrete":
        return one_hot(int(space.n), int(value) - int(space.start))
    sizes, starts, values = (array.reshape(-1).tolist() for array in (space.nvec, space.start, value))
    return [
        bit
        for size, start, one in zip(sizes, starts, values, strict=True)
        for bit in one_hot(size, one - start)
    ]


def one_hot(size, index):
    return [int(i == index) for i in range(size)]


def state_bits(space, parts, is_same):
    """Return the achieved goal, then the observation unless both are always the same."""
    achieved = bits_of(space["achieved_goal"], parts["achieved_goal"])
    if is_same:
        return achieved
    return achieved + bits_of(space["observation"], parts["observation"])
