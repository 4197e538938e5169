"""Locks joined with topics: what comes in, what is done, what is published."""
