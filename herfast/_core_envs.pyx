"""Cython bindings to the environments in csrc/.

The conventions are those of _core.pyx. The outputs have one row per episode. A step writes nothing if one of
its active episodes is invalid. Tables of maps are those of herfast/envs/grid_map.py, which are valid.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING

# Steps of fewer words take less than about 4 us and keep the GIL. Releasing it would cost more: two agents in
# two threads were then 1.86 times as fast as one, instead of 1.91 times.
cdef enum:
    FEW_WORDS = 1024


# --- checks of all environments ---

cdef bint check_reset(Py_ssize_t n_bits, uint64_t[:, ::1] out_states, uint64_t[:, ::1] out_goals) except -1:
    """Check the arrays of a reset; return whether there are episodes."""
    cdef Py_ssize_t n_episodes = out_states.shape[0]
    check_shape("out_states", out_states.shape, (n_episodes, hf_words(n_bits)))
    check_shape("out_goals", out_goals.shape, (n_episodes, hf_words(n_bits)))
    if n_episodes:
        check_no_overlap("out_states", out_states, "out_goals", out_goals)
    return n_episodes > 0


cdef bint check_step(
        Py_ssize_t n_bits, const uint64_t[:, ::1] states, const uint64_t[:, ::1] goals,
        const uint16_t[::1] actions, const int64_t[::1] active, uint64_t[:, ::1] out_states,
        c_bool[::1] out_terminated) except -1:
    """Check the arrays of a step, without their values; return whether there are active episodes."""
    cdef Py_ssize_t n_episodes = states.shape[0], n_words = hf_words(n_bits)
    check_shape("states", states.shape, (n_episodes, n_words))
    check_shape("goals", goals.shape, (n_episodes, n_words))
    check_shape("out_states", out_states.shape, (n_episodes, n_words))
    check_shape("actions", actions.shape, (n_episodes,))
    check_shape("out_terminated", out_terminated.shape, (n_episodes,))
    if n_episodes:
        check_no_overlap("out_states", out_states, "goals", goals)
    if active.shape[0] and n_episodes == 0:
        raise ValueError(f"active must be empty, since there are no episodes, got {active[0]}")
    return active.shape[0] > 0


cdef Py_ssize_t episode_of(Py_ssize_t invalid, const int64_t[::1] active, Py_ssize_t n_episodes,
                           const uint16_t[::1] actions, Py_ssize_t n_actions) except -1:
    """Return the episode at an invalid position in `active`, if neither its index nor its action is wrong."""
    cdef int64_t e = active[invalid]
    if not 0 <= e < n_episodes:
        raise ValueError(f"active[{invalid}] must be from 0 to {n_episodes - 1}, got {e}")
    if actions[e] >= n_actions:
        raise ValueError(f"actions[{e}] must be from 0 to {n_actions - 1}, got {actions[e]}")
    return e


cdef int raise_stray_bit(Py_ssize_t invalid, const int64_t[::1] active, const uint64_t[:, ::1] states,
                         const uint16_t[::1] actions, Py_ssize_t n_bits) except -1:
    """Raise the error of the episode at an invalid position in `active`, given one action per bit."""
    cdef Py_ssize_t e = episode_of(invalid, active, states.shape[0], actions, n_bits)
    name = "goals" if hf_is_clean(&states[e, 0], n_bits) else "states"
    raise ValueError(f"{name}[{e}] must be a string of {n_bits} bits, got a 1 at or past bit {n_bits}")


# --- bit flipping ---

def bitflip_reset(bit_generator, Py_ssize_t n_bits, uint64_t[:, ::1] out_states not None,
                  uint64_t[:, ::1] out_goals not None, const uint64_t[::1] goal=None):
    """Draw start states and goals [E, W], or only start states if `goal` [W] is given."""
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_episodes = out_states.shape[0]
    cdef const uint64_t *fixed = NULL
    check_n_bits("n_bits", n_bits)
    if goal is not None:
        check_shape("goal", goal.shape, (hf_words(n_bits),))
        fixed = &goal[0]
    if check_reset(n_bits, out_states, out_goals):
        with bit_generator.lock, nogil:
            if fixed == NULL:
                hf_bitflip_reset(rng, n_episodes, n_bits, &out_states[0, 0], &out_goals[0, 0])
            else:
                hf_bitflip_reset_to(rng, n_episodes, n_bits, fixed, &out_states[0, 0], &out_goals[0, 0])


cdef Py_ssize_t flip_if_valid(
        Py_ssize_t n_bits, const uint64_t[:, ::1] states, const uint64_t[:, ::1] goals,
        const uint16_t[::1] actions, const int64_t[::1] active, uint64_t[:, ::1] out_states,
        c_bool[::1] out_terminated) noexcept nogil:
    """Step if all is valid; return the first invalid position, otherwise n_active."""
    cdef Py_ssize_t n_active = active.shape[0]
    cdef Py_ssize_t first = hf_bitflip_first_bad(n_active, &active[0], states.shape[0], n_bits, &states[0, 0],
                                                 &goals[0, 0], &actions[0])
    if first == n_active:
        hf_bitflip_step(n_active, &active[0], out_states.shape[1], &states[0, 0], &goals[0, 0], &actions[0],
                        &out_states[0, 0], &out_terminated[0])
    return first


def bitflip_step(
        Py_ssize_t n_bits, const uint64_t[:, ::1] states not None, const uint64_t[:, ::1] goals not None,
        const uint16_t[::1] actions not None, const int64_t[::1] active not None,
        uint64_t[:, ::1] out_states not None, c_bool[::1] out_terminated not None):
    """Step the episodes in `active`; all other arrays have E rows."""
    cdef Py_ssize_t first
    check_n_bits("n_bits", n_bits)
    if not check_step(n_bits, states, goals, actions, active, out_states, out_terminated):
        return
    if active.shape[0] * states.shape[1] < FEW_WORDS:
        first = flip_if_valid(n_bits, states, goals, actions, active, out_states, out_terminated)
    else:
        with nogil:
            first = flip_if_valid(n_bits, states, goals, actions, active, out_states, out_terminated)
    if first < active.shape[0]:
        raise_stray_bit(first, active, states, actions, n_bits)


# --- grid world ---

cdef hf_grid open_grid(const uint16_t[:, ::1] moves, const uint16_t[:, ::1] starts) except *:
    """Return the map with the tables `moves` [n_cells, 4] and `starts` [n_starts, 3]."""
    check_n_bits("n_cells", moves.shape[0])
    check_n_bits("n_starts", starts.shape[0])
    check_shape("moves", moves.shape, (moves.shape[0], HF_GRID_ACTIONS))
    check_shape("starts", starts.shape, (starts.shape[0], 3))
    return hf_grid(n_cells=moves.shape[0], n_starts=starts.shape[0], next=&moves[0, 0], starts=&starts[0, 0])


def grid_world_reset(bit_generator, const uint16_t[:, ::1] moves not None,
                     const uint16_t[:, ::1] starts not None, uint64_t[:, ::1] out_states not None,
                     uint64_t[:, ::1] out_goals not None):
    """Draw start states and goals [E, W] in the order of draws of csrc/grid_world.h."""
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_episodes = out_states.shape[0]
    cdef hf_grid grid = open_grid(moves, starts)
    if check_reset(grid.n_cells, out_states, out_goals):
        with bit_generator.lock, nogil:
            hf_grid_world_reset(rng, n_episodes, grid, &out_states[0, 0], &out_goals[0, 0])


cdef Py_ssize_t move_if_valid(
        hf_grid grid, const uint64_t[:, ::1] states, const uint64_t[:, ::1] goals,
        const uint16_t[::1] actions, const int64_t[::1] active, uint64_t[:, ::1] out_states,
        c_bool[::1] out_terminated) noexcept nogil:
    """Step if all is valid; return the first invalid position, otherwise n_active."""
    cdef Py_ssize_t n_active = active.shape[0]
    cdef Py_ssize_t first = hf_grid_world_first_bad(n_active, &active[0], states.shape[0], grid.n_cells,
                                                    &states[0, 0], &goals[0, 0], &actions[0])
    if first == n_active:
        hf_grid_world_step(n_active, &active[0], grid, &states[0, 0], &goals[0, 0], &actions[0],
                           &out_states[0, 0], &out_terminated[0])
    return first


def grid_world_step(
        const uint16_t[:, ::1] moves not None, const uint16_t[:, ::1] starts not None,
        const uint64_t[:, ::1] states not None, const uint64_t[:, ::1] goals not None,
        const uint16_t[::1] actions not None, const int64_t[::1] active not None,
        uint64_t[:, ::1] out_states not None, c_bool[::1] out_terminated not None):
    """Step the episodes in `active`; all other arrays but the tables have E rows."""
    cdef hf_grid grid = open_grid(moves, starts)
    cdef Py_ssize_t first, e
    if not check_step(grid.n_cells, states, goals, actions, active, out_states, out_terminated):
        return
    if active.shape[0] * states.shape[1] < FEW_WORDS:
        first = move_if_valid(grid, states, goals, actions, active, out_states, out_terminated)
    else:
        with nogil:
            first = move_if_valid(grid, states, goals, actions, active, out_states, out_terminated)
    if first < active.shape[0]:
        e = episode_of(first, active, states.shape[0], actions, HF_GRID_ACTIONS)
        name = "goals" if hf_only_one(&states[e, 0], grid.n_cells) < grid.n_cells else "states"
        raise ValueError(f"{name}[{e}] must have exactly one 1 in {grid.n_cells} bits, got another string")


# --- lights out ---

cdef Py_ssize_t board_size(Py_ssize_t width, Py_ssize_t height) except -1:
    """Return the number of cells of a board."""
    check_n_bits("width", width)
    check_n_bits("height", height)
    check_n_bits("width * height", width * height)
    return width * height


def lights_out_reset(bit_generator, Py_ssize_t width, Py_ssize_t height, Py_ssize_t most_presses,
                     uint64_t[:, ::1] out_states not None, uint64_t[:, ::1] out_goals not None):
    """Draw start states and goals [E, W] in the order of draws of csrc/lights_out.h."""
    cdef bitgen_t *rng = bitgen(bit_generator)
    cdef Py_ssize_t n_episodes = out_states.shape[0], n_cells = board_size(width, height)
    if not 0 <= most_presses <= n_cells:
        raise ValueError(f"most_presses must be from 0 to {n_cells:,}, got {most_presses:,}")
    if not check_reset(n_cells, out_states, out_goals):
        return
    cdef bytearray scratch = bytearray(8 * hf_words(n_cells))
    cdef uint64_t *presses = <uint64_t *>PyByteArray_AS_STRING(scratch)
    with bit_generator.lock, nogil:
        hf_lights_out_reset(rng, n_episodes, width, height, most_presses, presses, &out_states[0, 0],
                            &out_goals[0, 0])


cdef Py_ssize_t press_if_valid(
        Py_ssize_t width, Py_ssize_t height, const uint64_t[:, ::1] states, const uint64_t[:, ::1] goals,
        const uint16_t[::1] actions, const int64_t[::1] active, uint64_t[:, ::1] out_states,
        c_bool[::1] out_terminated) noexcept nogil:
    """Step if all is valid; return the first invalid position, otherwise n_active."""
    cdef Py_ssize_t n_active = active.shape[0]
    cdef Py_ssize_t first = hf_bitflip_first_bad(n_active, &active[0], states.shape[0], width * height,
                                                 &states[0, 0], &goals[0, 0], &actions[0])
    if first == n_active:
        hf_lights_out_step(n_active, &active[0], width, height, &states[0, 0], &goals[0, 0], &actions[0],
                           &out_states[0, 0], &out_terminated[0])
    return first


def lights_out_step(
        Py_ssize_t width, Py_ssize_t height, const uint64_t[:, ::1] states not None,
        const uint64_t[:, ::1] goals not None, const uint16_t[::1] actions not None,
        const int64_t[::1] active not None, uint64_t[:, ::1] out_states not None,
        c_bool[::1] out_terminated not None):
    """Step the episodes in `active`; all other arrays have E rows."""
    cdef Py_ssize_t first, n_cells = board_size(width, height)
    if not check_step(n_cells, states, goals, actions, active, out_states, out_terminated):
        return
    if active.shape[0] * states.shape[1] < FEW_WORDS:
        first = press_if_valid(width, height, states, goals, actions, active, out_states, out_terminated)
    else:
        with nogil:
            first = press_if_valid(width, height, states, goals, actions, active, out_states, out_terminated)
    if first < active.shape[0]:
        raise_stray_bit(first, active, states, actions, n_cells)
