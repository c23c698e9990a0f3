"""Parts of running pipelines: logs and schedules."""
