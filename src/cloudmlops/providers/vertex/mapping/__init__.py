"""Between our values and the messages of Google: pure, without clients and clocks."""
