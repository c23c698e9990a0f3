"""Parts of running pipelines: what lies in the object store, logs, downloads, schedules."""
