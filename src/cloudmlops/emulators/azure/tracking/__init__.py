"""The tracking store of a workspace, as MLflow's REST clients use it: its runs are those of run history and jobs."""
