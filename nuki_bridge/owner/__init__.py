"""What the owner asks of a lock, one subject each: users, settings, log, keypad, time control, upkeep."""
