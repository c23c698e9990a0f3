"""Parts of running pipelines: code, jobs, logs, schedules."""
