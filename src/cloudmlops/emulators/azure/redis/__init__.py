"""Redis beside the emulated cloud: no HTTP proxy carries it, so a child is told its address."""
