"""Reference grid world on places (row, column), one episode at a time."""

from typing import TypeAlias

from numpy.random import BitGenerator
from reference.draw import below

Place: TypeAlias = tuple[int, int]
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def free_places(text: str) -> list[Place]:
    """Return the free places of a map in reading order."""
    rows = text.split("\n")
    return [(y, x) for y, row in enumerate(rows) for x, char in enumerate(row) if char == "."]


def moved(places: list[Place], place: Place, action: int) -> Place:
    y, x = MOVES[action]
    target = (place[0] + y, place[1] + x)
    if target in places:
        return target
    return place


def distances(places: list[Place], goal: Place) -> dict[Place, int]:
    """Return the number of moves to the goal from all places connected with it."""
    found = {goal: 0}
    steps = 0
    while steps in found.values():
        near = [place for place, distance in found.items() if distance == steps]
        steps += 1
        for place in near:
            for action in range(4):
                found.setdefault(moved(places, place, action), steps)
    return found


def components(places: list[Place]) -> list[list[Place]]:
    """Return the sets of two or more connected places, ordered by their first place."""
    found: list[list[Place]] = []
    for place in places:
        if not any(place in component for component in found):
            connected = distances(places, place)
            found.append([other for other in places if other in connected])
    return [component for component in found if len(component) > 1]


def reset(raw: BitGenerator, sets: list[list[Place]]) -> tuple[Place, Place]:
    """Return start and goal, given `components` of the map."""
    starts = [(place, component) for component in sets for place in component]
    start, component = starts[below(raw, len(starts))]
    others = [place for place in component if place != start]
    return start, others[below(raw, len(others))]
