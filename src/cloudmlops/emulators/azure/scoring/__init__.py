"""Online endpoints at work: processes that score, and the front door at the hosts `*.inference.ml.azure.com`."""
