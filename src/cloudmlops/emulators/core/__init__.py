"""What every emulated cloud stands on: a front, a clock, state, faults, a record of calls."""
