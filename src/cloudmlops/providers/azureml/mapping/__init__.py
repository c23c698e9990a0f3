"""Between our values and Azure's: pure, without clients and clocks."""
