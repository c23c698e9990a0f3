"""Run history: what went on, with logs and artifacts, at the hosts `*.api.azureml.ms`."""
