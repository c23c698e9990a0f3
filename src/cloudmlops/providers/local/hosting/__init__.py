"""How endpoints are hosted on this machine: a front that splits traffic, workers, and who looks after them."""
