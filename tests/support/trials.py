"""Trials of a sweep that train within a second."""

from herfast.experiments import sweep_plan

TRIAL_SETTINGS = {
    "preset": "notebook",
    "hidden": (8,),
    "cycles_per_epoch": 2,
    "updates_per_cycle": 2,
    "batch_size": 8,
    "epochs": 3,
    "episodes_per_cycle": 2,
}


def plan(n_bits, seeds=1, **fields):
    settings = {**TRIAL_SETTINGS, **fields}
    return sweep_plan.plan_trials(
        sweep_plan.sweep_envs(n_bits, None), settings.pop("preset"), seeds, settings
    )


def without_time(rows):
    return [
        {name: value for name, value in row.items() if name not in ("seconds", "machine")} for row in rows
    ]
