"""How an event is kept, handed to handlers at least once, and sent on."""
