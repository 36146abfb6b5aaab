/* Random maps for the tests of grid_world.h, with the tables that Python builds for the environment. */
#ifndef HF_TEST_GRID_H
#define HF_TEST_GRID_H

#include "test_support.h"

typedef struct {
    size_t width, n_places;
    uint8_t *is_free;  /* [n_places], rows of `width` places, the last row may be shorter */
    size_t *places;    /* [n_cells], place of each free cell */
    size_t *component; /* [n_cells], smallest cell that is connected with it */
    hf_grid grid;
} grid_map;

/* Return the place that an action leads to: up, right, down or left. */
static inline size_t move_on_map(const grid_map *m, size_t place, size_t action) {
    const size_t column = place % m->width;
    size_t next = place;
    if (action == 0 && place >= m->width) next = place - m->width;
    if (action == 1 && column + 1 < m->width) next = place + 1;
    if (action == 2) next = place + m->width;
    if (action == 3 && column > 0) next = place - 1;
    return next < m->n_places && m->is_free[next] ? next : place;
}

static inline void connect_cells(grid_map *m, const uint16_t *next) {
    for (size_t cell = 0; cell < m->grid.n_cells; cell++) m->component[cell] = cell;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < 4 * m->grid.n_cells; i++)
            if (m->component[next[i]] < m->component[i / 4]) {
                m->component[i / 4] = m->component[next[i]];
                changed = true;
            }
    }
}

/* Return the number of rows written to `starts`. */
static inline size_t list_starts(const grid_map *m, uint16_t *starts) {
    size_t n = 0;
    for (size_t c = 0; c < m->grid.n_cells; c++) {
        size_t first = n;
        for (size_t cell = c; cell < m->grid.n_cells; cell++)
            if (m->component[cell] == c) starts[3 * n++] = (uint16_t)cell;
        if (n == first + 1) n = first; /* a single cell */
        for (size_t row = first; row < n; row++) {
            starts[3 * row + 1] = (uint16_t)first;
            starts[3 * row + 2] = (uint16_t)n;
        }
    }
    return n;
}

/* Draw a map of n_cells >= 2 free cells and up to as many walls. Its first two places are free and adjacent. */
static inline grid_map draw_map(bitgen_t *rng, size_t n_cells) {
    uint16_t *next = allocate(4 * n_cells, 2), *starts = allocate(3 * n_cells, 2);
    grid_map m = {.width = 1 + hf_draw_below(rng, 20), .is_free = allocate(2 * n_cells, 1)};
    m.places = allocate(n_cells, sizeof *m.places), m.component = allocate(n_cells, sizeof *m.component);
    m.grid = (hf_grid){.n_cells = n_cells, .next = next, .starts = starts};
    for (size_t cell = 0; cell < n_cells; m.n_places++) {
        if (m.n_places > 1 && m.n_places - cell < n_cells && hf_draw_below(rng, 3) == 0) continue;
        m.is_free[m.n_places] = 1;
        m.places[cell++] = m.n_places;
    }
    for (size_t i = 0; i < 4 * n_cells; i++) {
        const size_t place = move_on_map(&m, m.places[i / 4], i % 4);
        while (m.places[next[i]] != place) next[i]++;
    }
    connect_cells(&m, next);
    m.grid.n_starts = list_starts(&m, starts);
    return m;
}

static inline void free_map(grid_map m) {
    free(m.is_free), free(m.places), free(m.component), free((void *)m.grid.next), free((void *)m.grid.starts);
}

#endif
